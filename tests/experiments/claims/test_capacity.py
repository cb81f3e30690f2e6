import pytest

from experiments.report.capacity import Capacity, bytes_text, cores_text


@pytest.mark.parametrize(
    ("rate", "microseconds", "cores", "pods", "machines"),
    [
        (1_000, 53.8, "0.11", 2, 2),
        (1_000, 2_760, "5.5", 3, 2),
        (100_000, 53.8, "10.8", 6, 2),
        (100_000, 2_760, "552", 276, 19),
        (10_000_000, 53.8, "1,076", 538, 36),
        (10_000_000, 2_760, "55,200", 27_600, 1_840),
    ],
)
def test_cores_are_half_busy_and_pods_and_machines_whole(rate, microseconds, cores, pods, machines):
    need = Capacity(rate, microseconds)
    assert (cores_text(need.cores), need.pods, need.machines) == (cores, pods, machines)


def test_bytes_have_a_unit():
    assert [bytes_text(gigabytes) for gigabytes in (4, 552, 1_076, 55_200)] == ["4 GB", "552 GB", "1.1 TB", "55 TB"]
