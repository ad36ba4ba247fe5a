-- deliveries/record($1 to $12 deliveries and $13 to $25 attempts, as the function names them,
-- $26 the deliveries' next triggers)
select r.recorded, r.disabled, r.failing
from deliveries_record_1(
    $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23,
    $24, $25, $26
) as r;
