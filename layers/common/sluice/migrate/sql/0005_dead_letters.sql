-- Dead letters: why each was refused, and who was erased since it was sent. Nothing in it can be changed.
GRANT SELECT (message_id, stream, reason, pointer, at) ON rejection TO :"dead_letters";
GRANT SELECT ON erasure TO :"dead_letters";
GRANT SELECT (number, check_value) ON token_key TO :"dead_letters"; -- under another keyset nobody would seem erased
GRANT EXECUTE ON FUNCTION audit_append TO :"dead_letters";
