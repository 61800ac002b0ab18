-- grain: one item whose latest status at a stage is `failed`
-- key: stage, batch_id, item_key
-- inputs: ingest.item_status, ingest.manifest
-- description: What failed, why, how often, since when, and where its bytes are; replayed by `media-assets dead-letters replay`
select
    s.stage,
    s.batch_id,
    s.item_key,
    s.error_code,
    s.is_retryable,
    s.message,
    s.attempts,
    s.first_failed_at,
    s.last_failed_at,
    s.blob,
    s.code_version,
    s.run_id,
    m.source,
    -- without what may be a secret, as place_of has it: scheme, host, port and path, or no more than the scheme
    case
        when regexp_matches(m.uri, '^[A-Za-z][A-Za-z0-9+.-]*://(\[[^\]]*\]|[^/?#:@]*)(:[0-9]*)?([/?#]|$)')
            then regexp_replace(m.uri, '(?s)[?#].*', '')
        when m.uri is not null then regexp_extract(m.uri, '^([A-Za-z][A-Za-z0-9+.-]*:/*)?') || '…'
    end as uri
from ingest.item_status as s
left join ingest.manifest as m on m.batch_id = s.batch_id and m.item_key = s.item_key
where s.status = 'failed'
