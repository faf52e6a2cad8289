-- The journal: a bank, the lease of its one writer, batches and their entries.
--
-- Every key begins with the clearing shard (0 until there is more than one), so
-- that each table can later be distributed by it.
--
-- SQLSTATEs raised here, which programs compare:
--   DAO01  the writer's epoch is not the lease's: another writer has taken over
--   DAO02  the row would break the chain of batches
--   DAO03  the row is part of history and history is not changed
--   DAO04  the accounts of a batch do not balance

-- Refuses whatever statement it is attached to.
create function refuse_change() returns trigger language plpgsql as $$
begin
    raise exception 'table % is history: % is refused, a mistake is corrected by a new entry', tg_table_name, lower(tg_op)
        using errcode = 'DAO03';
end $$;

-- What the bank is, for ever: its charter (package ledger) and the id that
-- every signature covers.
create table bank (
    shard   smallint primary key check (shard >= 0),
    id      bytea    not null check (octet_length(id) = 32),
    charter jsonb    not null
);
create trigger bank_is_history before update or delete or truncate on bank
    for each statement execute function refuse_change();

-- Who may write. A writer takes the lease by raising the epoch by one; whoever
-- held it before is fenced from then on, without having to be asked or found.
create table lease (
    shard    smallint    primary key references bank,
    epoch    bigint      not null check (epoch >= 0),
    holder   text        not null,
    taken_at timestamptz not null default now()
);

create function lease_only_rises() returns trigger language plpgsql as $$
begin
    if new.shard <> old.shard or new.epoch <> old.epoch + 1 then
        raise exception 'the lease of shard % is at epoch %: a take-over makes it %, not %', old.shard, old.epoch, old.epoch + 1, new.epoch
            using errcode = 'DAO01';
    end if;
    return new;
end $$;
create trigger lease_only_rises before update on lease
    for each row execute function lease_only_rises();
-- A lease that was deleted and made again would start at an old epoch.
create trigger lease_stays before delete or truncate on lease
    for each statement execute function refuse_change();

-- Raises DAO01 unless the epoch is the lease's. The lock on the lease's row
-- makes a take-over wait for a commit under way; and a commit that comes after
-- a take-over waits for it and then sees the new epoch. So no batch is ever
-- ordered after the take-over that fences its writer.
create function check_epoch(writer_shard smallint, writer_epoch bigint) returns void language plpgsql as $$
declare
    current_epoch bigint;
begin
    select epoch into current_epoch from lease where shard = writer_shard for share;
    if current_epoch is distinct from writer_epoch then
        raise exception 'epoch % may not write: the lease of shard % is at epoch %', writer_epoch, writer_shard, current_epoch
            using errcode = 'DAO01';
    end if;
end $$;

-- One signed header per batch. The columns repeat fields of the header's
-- canonical bytes (docs/formats.md) so that SQL can compare them.
create table batch (
    shard    smallint not null references bank,
    number   bigint   not null check (number >= 1),
    epoch    bigint   not null,
    count    integer  not null check (count between 1 and 65536),
    previous bytea    not null,
    header   bytea    not null check (octet_length(header) = 189),
    -- What the next header names as its previous. Computed here, so that no
    -- writer can store another hash than the header has.
    hash     bytea    not null generated always as (sha256(
        sha256('daobank/header'::bytea) || sha256('daobank/header'::bytea) || substring(header from 1 for 125))) stored,
    last_idx integer  not null generated always as (count - 1) stored,
    primary key (shard, number),
    constraint columns_repeat_the_header check (
        substring(header from 34 for 8) = int8send(number) and
        substring(header from 42 for 8) = int8send(epoch) and
        substring(header from 58 for 32) = previous and
        substring(header from 122 for 4) = int4send(count))
);
create trigger batch_is_history before update or delete or truncate on batch
    for each statement execute function refuse_change();

create function batch_continues_chain() returns trigger language plpgsql as $$
declare
    last_number bigint;
    last_hash   bytea;
begin
    perform check_epoch(new.shard, new.epoch);
    select number, hash into last_number, last_hash from batch where shard = new.shard order by number desc limit 1;
    if not found then
        select 0, id into last_number, last_hash from bank where shard = new.shard;
    end if;
    if new.number is distinct from last_number + 1 then
        raise exception 'batch % does not follow batch %: batches have no gaps', new.number, last_number
            using errcode = 'DAO02';
    end if;
    if new.previous is distinct from last_hash then
        raise exception 'batch % names % as the header before it, but that is %', new.number, encode(new.previous, 'hex'), encode(last_hash, 'hex')
            using errcode = 'DAO02';
    end if;
    return new;
end $$;
create trigger batch_continues_chain before insert on batch
    for each row execute function batch_continues_chain();

-- Orders and chain events, in order. Rows are narrow and carry only the two
-- indexes that the rules need: they are nearly all that a commit writes.
create table entry (
    shard    smallint not null,
    batch    bigint   not null,
    idx      integer  not null,
    kind     smallint not null,
    payer    bigint,
    sequence bigint,
    bytes    bytea    not null,
    primary key (shard, batch, idx),
    -- Kinds below 64 are members' orders and have a signer. An open order has
    -- sequence 0 and, as payer, the account that it made.
    constraint orders_have_a_payer check (
        (payer is not null) = (kind < 64) and (sequence is not null) = (kind < 64)),
    constraint kind_is_in_the_bytes check (get_byte(bytes, 1) = kind)
);
-- Signatures and keys do not compress: do not try.
alter table entry alter column bytes set storage external;
create trigger entry_is_history before update or delete or truncate on entry
    for each statement execute function refuse_change();

-- No account's sequence number is used twice: the guard against paying twice.
create unique index entry_payer_sequence on entry (shard, payer, sequence) where payer is not null;

-- A statement inserts all entries of the newest batch, or nothing. Together
-- with the primary key nothing can be added to a batch later.
create function entries_complete_newest_batch() returns trigger language plpgsql as $$
declare
    got    record;
    newest record;
begin
    select count(*) as n, min(shard) as shard, max(shard) as last_shard, min(batch) as batch, max(batch) as last_batch,
           min(idx) as idx, max(idx) as last_idx into got from inserted;
    if got.n = 0 then
        return null;
    end if;
    select number, count into newest from batch where shard = got.shard order by number desc limit 1;
    if got.shard <> got.last_shard or got.batch <> got.last_batch or got.batch is distinct from newest.number then
        raise exception 'entries of batches % to % are refused: only the newest batch, %, is written', got.batch, got.last_batch, newest.number
            using errcode = 'DAO02';
    end if;
    if got.n <> newest.count or got.idx <> 0 or got.last_idx <> newest.count - 1 then
        raise exception 'batch % has % entries, but % were inserted, from % to %', newest.number, newest.count, got.n, got.idx, got.last_idx
            using errcode = 'DAO02';
    end if;
    return null;
end $$;
create trigger entries_complete_newest_batch after insert on entry
    referencing new table as inserted
    for each statement execute function entries_complete_newest_batch();

-- A batch cannot be committed without its entries. Checked at the end of the
-- Tx and for the last entry only, since entries come all together.
alter table batch add constraint batch_has_its_entries
    foreign key (shard, number, last_idx) references entry (shard, batch, idx) deferrable initially deferred;
