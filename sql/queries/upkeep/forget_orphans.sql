-- upkeep/forget_orphans()
select f.deleted, f.more
from forget_orphans() as f;
