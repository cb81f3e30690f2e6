"""What no honest client sends has its documented answer, and harms nobody."""

import httpx

from tests.contract.hostile_bodies import HostileBody, hostile_bodies
from tests.services import TestedService


def test_every_hostile_body_has_its_documented_answer_and_a_good_request_works_after_it(
    service: TestedService, manifest, row
):
    wrong = {}
    with httpx.Client(base_url=service.client.base_url, timeout=60) as client:
        for body in hostile_bodies(manifest):
            status = answer(client, body)
            if status != body.status:
                wrong[body.name] = (status, body.status)
            assert client.post("/predict", json=row).status_code == 200, body.name
    assert not wrong


def answer(client: httpx.Client, body: HostileBody) -> int:
    try:
        answer = client.post(body.path, content=body.make(), headers={"content-type": body.content_type})
    except httpx.WriteError:  # the service may close while the rest of a body that is too large is still being sent
        return 413
    if answer.status_code != 200:
        assert answer.json()["detail"][0].keys() == {"loc", "msg", "type"}
    return answer.status_code
