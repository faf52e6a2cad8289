-- Balances. The clearing engine decides on its own copy in memory; PostgreSQL
-- is the second guard. It refuses a batch that makes money or leaves an account
-- below zero, adds up every balance itself, and recovery compares the two.
--
-- A commit writes one row: what the batch adds to which accounts. Adding that to
-- the accounts' own rows costs several times as much, so it is done for many
-- batches together, a moment later (function book). The view balance knows both.

create table account (
    shard      smallint not null references bank,
    id         bigint   not null check (id >= 1),
    -- The member's x-only public key; null for the bank's own accounts 1 to 5.
    key        bytea    check (octet_length(key) = 32),
    -- What the batches up to the one in table booked have made of it.
    balance    bigint   not null,
    -- The last of them that changed it; 0 before the first.
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

-- What each batch adds to balances: amounts[i] to accounts[i], which then stands
-- at balances[i]. Arrays, because a row for each account would cost more than the
-- batch's entries do.
create table booking (
    shard    smallint not null,
    batch    bigint   not null,
    accounts bigint[] not null,
    amounts  bigint[] not null,
    balances bigint[] not null,
    changes  integer  not null generated always as (cardinality(accounts)) stored,
    primary key (shard, batch),
    foreign key (shard, batch) references batch,
    constraint each_account_has_one_amount check (
        cardinality(accounts) >= 1 and cardinality(amounts) = cardinality(accounts) and cardinality(balances) = cardinality(accounts) and
        array_position(accounts, null) is null and array_position(amounts, null) is null and array_position(balances, null) is null),
    -- The vault, if it is among them, stands first. All others hold money or none.
    constraint balances_are_not_negative check (
        0 <= all (case when accounts[1] = 1 then balances[2:] else balances end)),
    constraint balances_are_possible check (
        2100000000000000 >= all (balances) and -2100000000000000 <= all (balances[1:1]))
);
-- Already dense: do not try to compress.
alter table booking alter column accounts set storage external;
alter table booking alter column amounts set storage external;
alter table booking alter column balances set storage external;
create trigger booking_is_history before update or delete or truncate on booking
    for each statement execute function refuse_change();

-- What a batch takes it gives: the sum of all accounts stays zero. And it is
-- booked while it is the newest, so it is never booked in hindsight.
create function booking_balances() returns trigger language plpgsql as $$
declare
    net    numeric;
    newest bigint;
begin
    select sum(amount) into net from unnest(new.amounts) amount;
    if net <> 0 then
        raise exception 'the batch adds % sat to the sum of all accounts: it must stay zero', net
            using errcode = 'DAO04';
    end if;
    select max(number) into newest from batch where shard = new.shard;
    if new.batch is distinct from newest then
        raise exception 'a batch is booked while it is the newest, which is % and not %', newest, new.batch
            using errcode = 'DAO04';
    end if;
    return new;
end $$;
create trigger booking_balances before insert on booking
    for each row execute function booking_balances();

-- The last batch whose booking is in the accounts' own rows.
create table booked (
    shard smallint primary key references bank,
    batch bigint   not null check (batch >= 0)
);

-- Adds bookings to the accounts, in order, until they come to so many changes or
-- none is left, and returns the last batch. It checks what a commit cannot: that
-- the accounts exist, and that each stands where the engine said. Two calls at
-- once follow each other.
create function book(of_shard smallint, changes_max bigint) returns bigint language plpgsql
    set work_mem = '64MB' as $$
declare
    position bigint;
    upto     bigint;
    wrong    record;
begin
    select batch into strict position from booked where shard = of_shard for update;
    select max(batch) into upto from (
        select batch, sum(changes) over (order by batch) - changes as before_it
        from booking where shard = of_shard and batch > position order by batch limit changes_max) pending
    where before_it < changes_max;
    if upto is null then
        return position;
    end if;
    with change as materialized (
        select u.account, sum(u.amount)::bigint as amount, max(b.batch) as batch,
               (array_agg(u.balance order by b.batch desc))[1] as balance
        from booking b cross join unnest(b.accounts, b.amounts, b.balances) as u(account, amount, balance)
        where b.shard = of_shard and b.batch > position and b.batch <= upto
        group by u.account
    ), changed as (
        update account a set balance = a.balance + c.amount, last_batch = c.batch
        from change c where a.shard = of_shard and a.id = c.account
        returning a.id, a.balance, c.balance as said
    )
    select (select count(*) from change) - count(*) as missing, min(id) filter (where balance <> said) as account
        into wrong from changed;
    if wrong.missing <> 0 or wrong.account is not null then
        raise exception 'batches % to % are booked on % accounts that do not exist, and account % does not stand where they say',
            position + 1, upto, wrong.missing, coalesce(wrong.account::text, 'none')
            using errcode = 'DAO04';
    end if;
    update booked set batch = upto where shard = of_shard;
    return upto;
end $$;

-- No booking is added twice, nor an older one after a newer.
create function refuse_booking() returns trigger language plpgsql as $$
begin
    raise exception 'account % has the bookings up to batch % already, and not those of batch %', old.id, old.last_batch, new.last_batch
        using errcode = 'DAO04';
end $$;
create trigger account_is_booked_once before update on account
    for each row when (new.last_batch <= old.last_batch) execute function refuse_booking();

create function accounts_balance() returns trigger language plpgsql as $$
declare
    net numeric;
begin
    select coalesce((select sum(balance) from changed), 0) - coalesce((select sum(balance) from before), 0) into net;
    if net <> 0 then
        raise exception 'this adds % sat to the sum of all accounts: it must stay zero', net
            using errcode = 'DAO04';
    end if;
    if exists (select from changed c where c.last_batch > (select max(number) from batch b where b.shard = c.shard)) then
        raise exception 'this books a batch that is not there' using errcode = 'DAO04';
    end if;
    return null;
end $$;
create trigger accounts_balance after update on account
    referencing old table as before new table as changed
    for each statement execute function accounts_balance();

create function booked_only_rises() returns trigger language plpgsql as $$
begin
    if new.shard <> old.shard or new.batch <= old.batch then
        raise exception 'the bookings of shard % are in the accounts up to batch %: they are not taken out again', old.shard, old.batch
            using errcode = 'DAO04';
    end if;
    return new;
end $$;
create trigger booked_only_rises before update on booked
    for each row execute function booked_only_rises();
create trigger booked_stays before delete or truncate on booked
    for each statement execute function refuse_change();

-- Every account with all that is committed, at one moment.
create view balance as
    select a.shard, a.id, a.key, a.balance + coalesce(p.amount, 0)::bigint as balance
    from account a left join (
        select b.shard, u.account, sum(u.amount) as amount
        from booked k join booking b on b.shard = k.shard and b.batch > k.batch
            cross join unnest(b.accounts, b.amounts) as u(account, amount)
        group by b.shard, u.account) p on p.shard = a.shard and p.account = a.id;
