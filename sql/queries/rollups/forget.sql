-- rollups/forget($1 most rows of each table)
select rollups_forget_1($1) as forgotten;
