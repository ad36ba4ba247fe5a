-- tenants/delete($1 id, $2 actor as JSON text)
select tenants_delete_1($1, $2::text::jsonb) as is_deleted;
