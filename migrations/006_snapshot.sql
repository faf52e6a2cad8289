-- Snapshots of the books (package ledger), so that a start replays only the
-- batches after the newest. A snapshot is not history: the journal says all of
-- it again, none is ever changed, old ones are deleted when a newer one is
-- written, and both tables can be emptied at any time (delete from snapshot).
-- The next start is slower then, no more.
--
-- It is written outside the commit path, in pieces, each in a Tx of its own: no
-- batch waits behind the whole of it. The row in snapshot comes last and says
-- that the pieces are complete; pieces without one are what a crash left behind.

create table snapshot_chunk (
    shard smallint not null references bank,
    batch bigint   not null, -- at whose end it was taken
    idx   integer  not null check (idx >= 0),
    bytes bytea    not null check (octet_length(bytes) between 1 and 1048576),
    primary key (shard, batch, idx)
);
-- Keys and hashes do not compress: do not try.
alter table snapshot_chunk alter column bytes set storage external;

create table snapshot (
    shard  smallint    not null references bank,
    batch  bigint      not null,
    epoch  bigint      not null,
    head   bytea       not null,                    -- hash of the batch's header
    chunks integer     not null check (chunks >= 1),
    size   bigint      not null check (size >= 1),  -- of all chunks, in bytes
    at     timestamptz not null default now(),
    primary key (shard, batch)
);

create function refuse_snapshot_change() returns trigger language plpgsql as $$
begin
    raise exception 'table % is written once: delete the snapshot, or leave it alone', tg_table_name
        using errcode = 'DAO03';
end $$;
create trigger snapshot_is_written_once before update on snapshot
    for each statement execute function refuse_snapshot_change();
create trigger snapshot_chunk_is_written_once before update on snapshot_chunk
    for each statement execute function refuse_snapshot_change();

-- Only the writer that holds the lease completes a snapshot, and only one of
-- this history whose pieces are all there. That what is in them is what the
-- operator wrote, its signature tells: PostgreSQL knows no BIP-340.
create function snapshot_is_complete() returns trigger language plpgsql as $$
declare
    own bytea;
    got record;
begin
    perform check_epoch(new.shard, new.epoch);
    select hash into own from batch where shard = new.shard and number = new.batch;
    if own is distinct from new.head then
        raise exception 'the snapshot names % as the head of batch %, which is %', encode(new.head, 'hex'), new.batch,
            coalesce(encode(own, 'hex'), 'not in the journal')
            using errcode = 'DAO02';
    end if;
    select count(*) as n, max(idx) as last, sum(octet_length(bytes)) as size into got
        from snapshot_chunk where shard = new.shard and batch = new.batch;
    if got.n <> new.chunks or got.last is distinct from new.chunks - 1 or got.size is distinct from new.size then
        raise exception 'the snapshot at batch % has % chunks and % bytes, but % chunks and % bytes are there', new.batch,
            new.chunks, new.size, got.n, coalesce(got.size, 0)
            using errcode = 'DAO02';
    end if;
    return new;
end $$;
create trigger snapshot_is_complete before insert on snapshot
    for each row execute function snapshot_is_complete();
