from deribit_pipeline.warehouse import structure
from deribit_pipeline.warehouse.warehouse import Warehouse, empty_warehouse
from deribit_pipeline_tests.conftest import both_stores


@both_stores
def test_sound_structure(sound: Warehouse) -> None:
    with sound.reading() as connection, empty_warehouse() as made:
        print(connection.execute(structure._VIEWS).fetchall()[:1])
        print(connection.execute(structure._MACROS).fetchall()[:1])
        assert structure.deviations(connection, made) == []
