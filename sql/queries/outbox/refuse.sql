-- outbox/refuse($1 ids, $2 codes, $3 sentences, $4 events that they are duplicates of or null)
select outbox_refuse_1($1, $2, $3, $4) as refused;
