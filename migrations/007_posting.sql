-- Where a settlement was posted: whoever follows a withdrawal from its order to the
-- chain is shown the entry that says it is paid. One row for each settlement (kind 67);
-- no other entry pays for it.

create index entry_posting on entry (shard, batch, idx) where kind = 67;

-- What cuts took from an account, into withdrawals pending (account 3): history, which
-- is derived later, must not be asked for it, or a withdrawal would look cancelled
-- until history knows better.
create index event_posting_taken on event_posting (shard, debit, batch) where credit = 3;
