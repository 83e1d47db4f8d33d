-- One UTC day's flights per carrier. Null, not 0, where nothing is known: a mean over no flight is no number.
SELECT
  carrier,
  count(*) AS flights,
  avg(dep_delay) AS mean_dep_delay,
  percentile(dep_delay, 0.9) AS p90_dep_delay,
  count_if(dep_delay >= 15) / nullif(count(dep_delay), 0) AS share_departed_late,
  count_if(arr_delay >= 15) / nullif(count(arr_delay), 0) AS share_arrived_late,
  count_if(dep_time IS NULL) / count(*) AS share_cancelled
FROM flights
GROUP BY carrier
