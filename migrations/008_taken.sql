-- What cuts took from an account, into withdrawals pending (account 3): history, which
-- is derived later, must not be asked for it, or a withdrawal would look cancelled
-- until history knows better.
create index event_posting_taken on event_posting (shard, debit, batch) where credit = 3;
