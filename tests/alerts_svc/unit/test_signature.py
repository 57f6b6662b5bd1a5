"""Standard Webhooks 1.0.0."""

from __future__ import annotations

import pytest
from standardwebhooks import Webhook

from alerts_svc.notify import signature


def test_known_answer_of_the_reference_library() -> None:
    # standard-webhooks/standard-webhooks, libraries/go/webhook_test.go, TestWebhookSign.
    headers = signature.headers(
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1614265330,
        b'{"test": 2432232314}',
        ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
    )

    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_new_secrets_differ_and_are_long_enough() -> None:
    first, second = signature.new_secret(), signature.new_secret()

    assert first != second
    assert len(signature.key_of(first)) == 32
    Webhook(first)


@pytest.mark.parametrize("secret", ["whsec_", "whsec_c2hvcnQ=", "not base64!", "whsec_" + "A" * 92])
def test_secrets_of_another_length_or_kind_are_refused(secret: str) -> None:
    with pytest.raises(ValueError, match="base64"):
        signature.key_of(secret)


def test_without_a_secret_nothing_is_signed() -> None:
    assert "webhook-signature" not in signature.headers("id", 1, b"{}", [])
