-- Balances. The clearing engine decides on its own copy in memory; PostgreSQL
-- adds up a second one here, refuses what must never be, and recovery compares
-- the two.

create table account (
    shard      smallint not null references bank,
    id         bigint   not null check (id >= 1),
    -- The member's x-only public key; null for the bank's own accounts 1 to 5.
    key        bytea    check (octet_length(key) = 32),
    balance    bigint   not null,
    -- The batch that changed the balance last; 0 before the first.
    last_batch bigint   not null,
    primary key (shard, id),
    constraint members_have_keys check ((key is null) = (id < 16)),
    -- Account 1 is the vault: minus what the bank owes everyone else.
    constraint balance_is_not_negative check (balance >= 0 or id = 1),
    -- 21 million BTC: no balance can be more, no vault less.
    constraint balance_is_possible check (abs(balance) <= 2100000000000000)
) with (fillfactor = 60); -- room for the next version of a row on its page, so that an update touches no index

-- A key has one account, for ever.
create unique index account_key on account (shard, key) where key is not null;

create trigger account_stays before delete or truncate on account
    for each statement execute function refuse_change();
create trigger account_keeps_its_key before update of shard, id, key on account
    for each statement execute function refuse_change();

create function accounts_start_empty() returns trigger language plpgsql as $$
begin
    if exists (select from inserted where balance <> 0 or last_batch <> 0) then
        raise exception 'a new account is empty' using errcode = 'DAO04';
    end if;
    return null;
end $$;
create trigger accounts_start_empty after insert on account
    referencing new table as inserted
    for each statement execute function accounts_start_empty();

-- One statement books a whole batch. What it takes it gives: the sum of all
-- accounts stays zero. And a batch is booked only while it is the newest, each
-- account at most once.
create function accounts_balance() returns trigger language plpgsql as $$
declare
    net    numeric;
    booked record;
    newest bigint;
begin
    select coalesce((select sum(balance) from changed), 0) - coalesce((select sum(balance) from before), 0) into net;
    if net <> 0 then
        raise exception 'the batch adds % sat to the sum of all accounts: it must stay zero', net
            using errcode = 'DAO04';
    end if;
    select min(shard) as shard, min(last_batch) as first, max(last_batch) as last into booked from changed;
    if booked.shard is null then
        return null;
    end if;
    select max(number) into newest from batch where shard = booked.shard;
    if booked.first <> booked.last or booked.last is distinct from newest
        or exists (select from before where last_batch >= newest) then
        raise exception 'accounts are changed once by each batch while it is the newest, which is % and not %', newest, booked.last
            using errcode = 'DAO04';
    end if;
    return null;
end $$;
create trigger accounts_balance after update on account
    referencing old table as before new table as changed
    for each statement execute function accounts_balance();
