-- Financial aid modules by student and module: the furthest status, and when it was reached first.
WITH furthest AS (
    SELECT
        SSID, ModuleName,
        arg_max(ModuleStatus, module_rank(ModuleStatus)) AS status,
        arg_min(OccurredAt, (-module_rank(ModuleStatus), OccurredAt)) AS since
    FROM financial_aid_modules
    GROUP BY ALL
)

SELECT
    roster.*,
    furthest.ModuleName AS "Module Name",
    furthest.status AS "Module Status",
    california_day(furthest.since) AS "Status Date"
FROM roster JOIN furthest USING (SSID)
