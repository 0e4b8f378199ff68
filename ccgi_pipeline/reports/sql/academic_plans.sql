-- Academic plans by student: how many, and the newest thing that happened to one.
WITH plans AS (
    SELECT
        SSID,
        arg_max(PlanStatus, (OccurredAt, EventID)) AS status,
        count(DISTINCT PlanID) AS plans,
        max(OccurredAt) AS since
    FROM academic_plans
    GROUP BY SSID
)

SELECT
    roster.*,
    plans.status AS "Plan Status",
    plans.plans AS "# of Plans",
    california_day(plans.since) AS "Status Date"
FROM roster JOIN plans USING (SSID)
