from datetime import timedelta

from onnxlet.storage.connection import CLIENT, RETRY, STALL_S, StorageSettings


def test_a_connection_that_was_idle_for_a_stall_is_not_used_again() -> None:
    assert CLIENT["read_timeout"] == CLIENT["pool_idle_timeout"] == timedelta(seconds=STALL_S)


def test_retries_end_before_the_clients_of_a_function_give_up() -> None:
    backoff = RETRY["backoff"]
    longest_s = 0.0
    pause_s = backoff["init_backoff"].total_seconds()
    for _ in range(RETRY["max_retries"]):
        longest_s += min(pause_s, backoff["max_backoff"].total_seconds())
        pause_s *= backoff["base"]
    assert longest_s < RETRY["retry_timeout"].total_seconds() < 29  # API Gateway waits 29 s


def test_without_settings_obstore_finds_everything_by_the_clouds_rules() -> None:
    settings = StorageSettings()
    assert (settings.s3_endpoint, settings.gcs_endpoint, settings.container, settings.ca_bundle) == (None,) * 4
    assert not settings.has_fips
    assert not settings.has_dual_stack
