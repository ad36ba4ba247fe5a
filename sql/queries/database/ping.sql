-- database/ping()
-- Answers one row when the database can run a statement.
select 1 as answer;
