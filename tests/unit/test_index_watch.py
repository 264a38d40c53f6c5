"""`lookalike index --watch`: how it ends."""

from cli import index
from embeddings.settings import Settings
from indexer.sources.folder import Folder


def test_ctrl_c_while_the_folder_is_indexed_again_ends_the_watch(tmp_path, monkeypatch):
    passes = []

    def interrupted(source, *_, **__):
        passes.append(source)
        raise KeyboardInterrupt

    monkeypatch.setattr(index, "index_once", interrupted)
    folder = Folder(tmp_path)
    index._watch(folder, None, None, Settings(data=tmp_path), as_json=True)
    assert passes == [folder]
