-- Assessments by student and assessment: completed once is completed.
WITH furthest AS (
    SELECT
        SSID, AssessmentName,
        CASE
            WHEN bool_or(AssessmentStatus = 'Completed') THEN 'Completed' ELSE 'Started'
        END AS status,
        coalesce(
            min(OccurredAt) FILTER (AssessmentStatus = 'Completed'), min(OccurredAt)
        ) AS since
    FROM assessments
    GROUP BY ALL
)

SELECT
    roster.*,
    furthest.AssessmentName AS "Assessment Name",
    furthest.status AS "Assessment Status",
    california_day(furthest.since) AS "Status Date"
FROM roster JOIN furthest USING (SSID)
