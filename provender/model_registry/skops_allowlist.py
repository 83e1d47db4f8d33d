"""Which types a model file may hold beyond those that skops itself trusts.

``model.skops`` is data: loading it builds objects of named types, and refuses every type that is neither in skops'
own list (numpy, scipy and scikit-learn estimators) nor here. Everything here is scikit-learn's, or takes functions
that are themselves checked against the same lists; nothing in a file can bring code of its own. Training refuses to
write what serving would refuse to load.
"""

TRUSTED = (
    "functools.partial",  # of a trusted function only
    "numpy.dtype",  # the type of an array's numbers
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.tree._tree.Tree",
    "sklearn.utils.validation.check_array",
)
