-- Each student's goals with the newest thing that happened to them; removed ones are left out.
WITH newest AS (
    SELECT
        SSID, GoalID,
        arg_max(GoalType, (OccurredAt, EventID)) AS goal_type,
        arg_max(GoalStatus, (OccurredAt, EventID)) AS status,
        max(OccurredAt) AS since
    FROM goals
    GROUP BY ALL
)

SELECT
    roster.*,
    newest.goal_type AS "Goal Type",
    newest.status AS "Goal Status",
    california_day(newest.since) AS "Status Date"
FROM roster JOIN newest USING (SSID)
WHERE newest.status <> 'Removed'
