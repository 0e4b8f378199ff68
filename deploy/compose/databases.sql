-- Beside that of the catalog: Dagster's runs, and the broker of the workers.
CREATE DATABASE ccgi_dagster;
CREATE DATABASE ccgi_broker;
