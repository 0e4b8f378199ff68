-- Beside that of the catalog: Dagster's runs.
CREATE DATABASE ccgi_dagster;
