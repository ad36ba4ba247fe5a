-- upkeep/forget_orphans()
-- Deletes some of the rows that name events which are gone. Returns how many, and whether there may be more.
select f.deleted, f.more
from forget_orphans() as f;
