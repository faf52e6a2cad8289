-- What guardians attest: that they have replayed the journal up to a batch and
-- found it right. The bank keeps it, so that members see how far t of them have
-- come and anyone can check the signatures (docs/api.md).

create table attestation (
    shard     smallint    not null references bank,
    guardian  bytea       not null check (octet_length(guardian) = 33), -- its host key
    batch     bigint      not null,
    head      bytea       not null,                       -- hash of the batch's header
    -- By the guardian's host key. Whoever writes the row verifies it before, and
    -- whoever reads it can again: PostgreSQL knows no BIP-340.
    signature bytea       not null check (octet_length(signature) = 64),
    at        timestamptz not null default now(),
    primary key (shard, guardian, batch)
);
create trigger attestation_is_history before update or delete or truncate on attestation
    for each statement execute function refuse_change();

-- A guardian that saw another history attests nothing of this one: what it
-- signed is evidence and belongs before people, not into this table.
create function attestation_is_of_this_history() returns trigger language plpgsql as $$
declare
    own bytea;
begin
    select hash into own from batch where shard = new.shard and number = new.batch;
    if own is distinct from new.head then
        raise exception 'guardian % attests % as the head of batch %, which is %', encode(new.guardian, 'hex'),
            encode(new.head, 'hex'), new.batch, coalesce(encode(own, 'hex'), 'not in the journal')
            using errcode = 'DAO02';
    end if;
    return new;
end $$;
create trigger attestation_is_of_this_history before insert on attestation
    for each row execute function attestation_is_of_this_history();
