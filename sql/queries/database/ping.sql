-- database/ping()
select 1 as answer;
