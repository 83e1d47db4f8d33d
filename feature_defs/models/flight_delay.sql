-- Every scheduled departure, asked two hours before. The columns but the label are what the timetable says.
SELECT
  carrier, origin, dest,
  time_hour + make_dt_interval(0, -2, minute) AS event_timestamp,
  hour,
  weekday(make_date(year, month, day)) AS weekday,
  distance,
  CAST(dep_time IS NULL OR dep_delay >= 15 AS INT) AS departs_late
FROM flights
