-- tenants/delete($1 id, $2 who deletes it, as JSON text)
-- Deletes a tenant softly and revokes its keys. Returns whether there was a living one.
select tenants_delete_1($1, $2::text::jsonb) as is_deleted;
