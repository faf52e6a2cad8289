-- The diary of settlements: each step is written down before it is taken, so
-- that after a crash the next start can finish or repeat it harmlessly.

create table settlement_step (
    shard      smallint    not null references bank,
    settlement integer     not null check (settlement >= 1),
    ordinal    integer     not null check (ordinal >= 1),
    epoch      bigint      not null,
    step       text        not null check (step <> ''),
    txid       bytea       check (octet_length(txid) = 32), -- wire byte order
    tx         bytea,                                       -- the whole Bitcoin transaction
    height     integer     check (height >= 0),
    detail     text        not null default '',
    at         timestamptz not null default now(),
    primary key (shard, settlement, ordinal)
);
create trigger settlement_step_is_history before update or delete or truncate on settlement_step
    for each statement execute function refuse_change();

-- Only the writer that holds the lease takes steps, and leaves none out.
create function settlement_step_follows() returns trigger language plpgsql as $$
declare
    last integer;
begin
    perform check_epoch(new.shard, new.epoch);
    select coalesce(max(ordinal), 0) into last from settlement_step where shard = new.shard and settlement = new.settlement;
    if new.ordinal > last + 1 then
        raise exception 'step % of settlement % does not follow step %', new.ordinal, new.settlement, last
            using errcode = 'DAO02';
    end if;
    return new;
end $$;
create trigger settlement_step_follows before insert on settlement_step
    for each row execute function settlement_step_follows();
