-- refusals/write($1 to $16 refused requests, $17 most rows of a tenant)
select refusals_write_1($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17) as written;
