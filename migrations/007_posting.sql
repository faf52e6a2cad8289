-- Where a settlement was posted: whoever follows a withdrawal from its order to the
-- chain is shown the entry that says it is paid. One row for each settlement (kind 67);
-- no other entry pays for it.

create index entry_posting on entry (shard, batch, idx) where kind = 67;
