"""Locations of a lake's files: never where another lake's maintenance would find them."""

from dataclasses import replace
from pathlib import Path

import pytest

from deribit_pipeline.domain.environment import Environment
from deribit_pipeline.domain.location import Lake, ObjectStorage
from deribit_pipeline.errors import WarehouseUnusable
from deribit_pipeline.opening import warehouse_at
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.helpers.lake_days import assert_each_is_held_once, day, hold
from deribit_pipeline_tests.helpers.limited_store import listing_alone
from deribit_pipeline_tests.helpers.servers import ObjectStore, Postgres


def at(lake: Lake) -> Warehouse:
    return warehouse_at(lake, Environment.SANDBOX)


@pytest.fixture(params=["folder", "object store"])
def held(request: pytest.FixtureRequest, database: str, tmp_path: Path) -> Lake:
    """A lake whose files are below two folders without other contents."""
    if request.param == "folder":
        lake = Lake(database, f"{tmp_path}/ours/lake/")
    else:
        store: ObjectStore = request.getfixturevalue("store")
        storage = ObjectStorage(store.endpoint, store.region, store.key_id, store.secret)
        lake = Lake(database, f"{store.prefix()}/lake/", storage)
    hold(at(lake), *(day(number) for number in range(12)))  # more than stays in the catalog
    return lake


@pytest.mark.parametrize("where", ["", "within/", "within/it/", "../"])
def test_a_place_that_another_lake_would_clean_up_is_refused_however_often_it_is_requested(
    held: Lake, postgres: Postgres, where: str
) -> None:
    place = held.data.removesuffix("lake/") if where == "../" else held.data + where
    other = replace(held, catalog=postgres.database(), data=place)
    for _ in range(2):
        for work in (at(other).check, lambda: hold(at(other), day(0))):
            with pytest.raises(WarehouseUnusable, match="holds files of another lake"):
                work()
    assert_each_is_held_once(at(held), 12)
    # The catalog was not bound to a location meanwhile.
    elsewhere = replace(other, data=f"{held.data.removesuffix('lake/')}beside/")
    hold(at(elsewhere), day(0))
    assert_each_is_held_once(at(elsewhere), 1)


def test_to_look_makes_nothing(lake: Lake) -> None:
    at(lake).check()
    assert not Path(lake.data).exists()
    assert not at(lake).exists()


def test_a_key_that_may_list_its_own_place_alone_is_shown_what_cannot_be_seen(
    database: str, store: ObjectStore, caplog: pytest.LogCaptureFixture
) -> None:
    place = f"{store.prefix()}/lake/"
    own = place.removeprefix(f"s3://{store.bucket}/")
    with listing_alone(store, own) as endpoint:
        storage = ObjectStorage(endpoint, store.region, store.key_id, store.secret)
        warehouse = at(Lake(database, place, storage))
        hold(warehouse, *(day(number) for number in range(12)))
        warehouse.check()
        assert_each_is_held_once(warehouse, 12)
    above = place.removesuffix("lake/")
    [message] = set(caplog.messages)
    assert message.startswith(f"The key may not list {above}: ")
