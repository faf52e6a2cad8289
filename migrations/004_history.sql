-- What members see of their past. It is derived from the journal by a follower
-- outside the commit path: nobody's payment waits for it, it may lag, and it
-- can be emptied and derived again.

-- What a chain event moved. An order says itself whom it pays; what an event
-- moves depends on the books at that moment (who had an account, what a
-- withdrawal held), so the writer keeps it. Events are few.
create table event_posting (
    shard  smallint not null,
    batch  bigint   not null,
    idx    integer  not null,
    line   integer  not null,
    debit  bigint   not null,
    credit bigint   not null,
    amount bigint   not null check (amount > 0),
    primary key (shard, batch, idx, line),
    foreign key (shard, batch, idx) references entry
);
create trigger event_posting_is_history before update or delete or truncate on event_posting
    for each statement execute function refuse_change();

-- One row for each side of each posting, in the order in which a member reads
-- them. The amount is signed: above zero came in.
create table movement (
    shard        smallint not null,
    account      bigint   not null,
    batch        bigint   not null,
    idx          integer  not null,
    line         integer  not null,
    counterparty bigint   not null,
    amount       bigint   not null check (amount <> 0),
    primary key (shard, account, batch, idx, line)
);

-- The last batch whose movements are all in the table. It is moved in the same
-- Tx that inserts them, so none is missing and none stands twice.
create table movement_position (
    shard smallint primary key references bank,
    batch bigint   not null check (batch >= 0)
);
