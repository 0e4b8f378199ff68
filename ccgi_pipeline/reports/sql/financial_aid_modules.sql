-- Financial aid modules by student and module: completed once is completed.
WITH furthest AS (
    SELECT
        SSID, ModuleName,
        CASE WHEN bool_or(ModuleStatus = 'Completed') THEN 'Completed' ELSE 'Started' END AS status,
        coalesce(
            min(OccurredAt) FILTER (ModuleStatus = 'Completed'), min(OccurredAt)
        ) AS since
    FROM financial_aid_modules
    GROUP BY ALL
)

SELECT
    roster.*,
    furthest.ModuleName AS "Module Name",
    furthest.status AS "Module Status",
    california_day(furthest.since) AS "Status Date"
FROM roster JOIN furthest USING (SSID)
