"""Latencies by named weather and from files, and what a cancel finds done."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from tests.simulated import DAY, Simulated

from backcast_simulator.outcomes import Odds
from backcast_simulator.weather import WEATHERS, Weather, WeatherError, parse_weather, read_weather

if TYPE_CHECKING:
    from pathlib import Path


def world_in(weather: str | Weather, seed: int = 1) -> Simulated:
    return Simulated(odds=Odds(seed, WEATHERS[weather] if isinstance(weather, str) else weather))


def expired_share(weather: str) -> float:
    world = world_in(weather)
    batches = [world.create(100, f"b{number}-").id for number in range(20)]
    world.wait(DAY)
    return sum(world.retrieve(each).request_counts.expired for each in batches) / 2000


@pytest.mark.parametrize(
    ("weather", "low", "high"),
    [("calm", 0, 0), ("slow", 0, 0.001), ("busy", 0.001, 0.05), ("worst", 0.15, 0.35), ("all-expire", 1, 1)],
)
def test_the_share_that_expires(weather: str, low: float, high: float) -> None:
    assert low <= expired_share(weather) <= high


@pytest.mark.parametrize("weather", ["calm", "slow", "busy", "worst"])
def test_a_cancel_finds_more_done_the_later_it_comes(weather: str) -> None:
    median = WEATHERS[weather].median_hours * 3600
    done = []
    for wait in (0.4 * median, 0.8 * median, median, 1.3 * median):
        world = world_in(weather)
        batch = world.create(200)
        world.wait(min(wait, DAY - 60))
        world.client.messages.batches.cancel(batch.id)
        world.wait(60)
        counts = world.retrieve(batch.id).request_counts
        assert counts.succeeded + counts.canceled == 200
        done.append(counts.succeeded)
    assert done == sorted(done)
    assert done[0] < 40
    assert done[-1] > 100
    assert done[2] < 200


def test_batches_differ_as_a_whole() -> None:
    weather = Weather(median_hours=1, sigma=0, batch_sigma=0.5)
    world = world_in(weather)
    batches = [world.create(2).id for _ in range(10)]
    world.wait(DAY)
    took = {
        (batch.ended_at - batch.created_at).total_seconds()
        for batch in map(world.retrieve, batches)
        if batch.ended_at is not None
    }
    assert len(took) == 10
    again = world_in(weather)
    batch = again.create(2)
    again.wait(DAY)
    ended = again.retrieve(batch.id)
    assert ended.ended_at is not None
    assert (ended.ended_at - ended.created_at).total_seconds() in took


def test_a_weather_from_a_file_in_yaml_or_json(tmp_path: Path) -> None:
    file = tmp_path / "storm.yaml"
    file.write_text("quantiles: {0: 0.5, 0.5: 1, 1: 20}\nnever_share: 0.1\n")
    weather = read_weather(str(file))
    assert weather == Weather(never_share=0.1, quantiles=((0.0, 0.5), (0.5, 1.0), (1.0, 20.0)))
    latencies = [weather.latency(1, f"r{number}") for number in range(2000)]
    hours = sorted(latency.total_seconds() / 3600 for latency in latencies if latency is not None)
    assert 1750 < len(hours) < 1850
    assert (hours[0] >= 0.5, hours[-1] <= 20) == (True, True)
    assert 0.9 < hours[len(hours) // 2] < 1.2
    file.write_text(json.dumps({"median_hours": 3, "sigma": 0}))
    assert read_weather(str(file)) == Weather(median_hours=3, sigma=0)
    assert read_weather("busy") is WEATHERS["busy"]


def test_the_worst_weather_that_a_file_may_describe_lets_everything_expire() -> None:
    world = world_in(parse_weather({"median_hours": 1_000_000, "sigma": 10, "batch_sigma": 10}))
    batches = [world.create(20, f"b{number}-").id for number in range(20)]
    world.wait(DAY)
    assert sum(world.retrieve(each).request_counts.expired for each in batches) > 200


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- 1", "a mapping is expected"),
        ("rain: 1", "rain: not a key of a weather; median_hours, sigma"),
        ("sigma: wide", "sigma: a number that is not negative is expected, not 'wide'"),
        ("sigma: 11", "sigma: a number of at most 10 is expected"),
        ("median_hours: 1.0e+30", r"median_hours: a number of at most 1e\+06 is expected"),
        ("never_share: 2", "never_share: a share from 0 to 1"),
        ("quantiles: [1]", "quantiles: a mapping of shares"),
        ("quantiles: {0.5: 1}", "quantiles: the hours at share 1"),
        ("quantiles: {0.5: 2, 1: 1}", "quantiles: hours must not fall"),
        ("quantiles: {x: 2}", r"quantiles\.x: a share from 0 to 1"),
        ("a: [", "not valid YAML or JSON"),
    ],
)
def test_a_weather_file_that_is_wrong_is_refused_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "weather.yaml"
    file.write_text(text)
    with pytest.raises(WeatherError, match=message) as refused:
        read_weather(str(file))
    assert str(file) in str(refused.value)


def test_a_weather_that_is_neither_a_name_nor_a_file() -> None:
    with pytest.raises(WeatherError, match=r"neither a weather \(calm, slow, busy, worst, all-expire\) nor"):
        read_weather("sunny")
    with pytest.raises(WeatherError, match="a mapping is expected"):
        parse_weather(None)
