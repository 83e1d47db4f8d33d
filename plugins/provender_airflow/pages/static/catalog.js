"use strict";
// Airflow keeps the theme that was chosen in the browser, under this name.
const theme = (window.localStorage.getItem("theme") || "").replaceAll('"', "");
if (theme === "dark" || theme === "light") document.documentElement.dataset.theme = theme;

// A run is triggered through Airflow's own API, which decides whether the person who is logged in may.
async function trigger(button) {
  const told = document.getElementById("triggered");
  button.disabled = true;
  const url = `${document.body.dataset.airflow}/api/v2/dags/${encodeURIComponent(button.dataset.dag)}/dagRuns`;
  const answer = await fetch(url, {
    method: "POST",
    credentials: "same-origin",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ logical_date: null, partition_key: button.dataset.key }),
  });
  const found = await answer.json().catch(() => ({}));
  told.textContent = answer.ok
    ? `Started ${found.dag_run_id} for ${button.dataset.key}.`
    : `Airflow refused it (${answer.status}): ${JSON.stringify(found.detail || "")}`;
  button.disabled = answer.ok;
}

for (const button of document.querySelectorAll("button[data-dag]"))
  button.addEventListener("click", () => trigger(button));
