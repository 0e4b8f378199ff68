-- Financial aid modules by student: how many were assigned, begun and finished, and the newest step.
SELECT
    roster.*,
    modules.assigned AS "Modules Assigned",
    modules.started AS "Modules Started",
    modules.completed AS "Modules Completed",
    california_day(modules.newest) AS "Last Activity Date"
FROM roster JOIN (
    SELECT
        SSID,
        count(DISTINCT ModuleName) AS assigned,
        count(DISTINCT ModuleName) FILTER (ModuleStatus <> 'Assigned') AS started,
        count(DISTINCT ModuleName) FILTER (ModuleStatus = 'Completed') AS completed,
        max(OccurredAt) AS newest
    FROM financial_aid_modules
    GROUP BY SSID
) AS modules USING (SSID)
