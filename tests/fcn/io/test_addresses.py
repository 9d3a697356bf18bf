import pytest

from fcn.errors import UserError
from fcn.io.addresses import public, secret, sparing, without
from fcn.spec.source import Source


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://user:pass@host/a.tar", "https://host/a.tar"),
        ("https://user:p@ss:w@host:80/a.tar", "https://host:80/a.tar"),
        # up to the last @: a password may have a stroke in it
        ("https://user:pass@host/a@b.tar", "https://b.tar"),
        ("https://token@host", "https://host"),
        (
            "postgresql://u:p%2Fq@host/db and sqlite:///mlflow.db",
            "postgresql://host/db and sqlite:///mlflow.db",
        ),
        ("https://host/a.tar?token=abc", "https://host/a.tar?..."),
        ("(url: /a.tar?X-Amz-Signature=abc&x=1 (Caused by", "(url: /a.tar?... (Caused by"),
        ("'https://host/?abc' failed", "'https://host/?...' failed"),
        (
            "a.tar: is it the right archive? Else: other",
            "a.tar: is it the right archive? Else: other",
        ),
        ("mail me@example.org // not@address", "mail me@example.org // not@address"),
        ("http://127.0.0.1:9 of me@example.org", "http://127.0.0.1:9 of me@example.org"),
        ("http://[::1]:4200/api of me@example.org", "http://[::1]:4200/api of me@example.org"),
        ("dvc repro train@fcn32s: train@fcn16s", "dvc repro train@fcn32s: train@fcn16s"),
        (
            "sqlite:////data/a@b/mlflow.db, images/a#b.png, #ff0000",
            "sqlite:////data/a@b/mlflow.db, images/a#b.png, #ff0000",
        ),
        (
            "Basic authentication; a tokenizer, tokens: 3",
            "Basic authentication; a tokenizer, tokens: 3",
        ),
        # A password that was not encoded is just the address that fails, and gets into a message.
        ("http://u:pa/Geheim@h/x", "http://h/x"),
        ("http://u:p#Geheim@h/x", "http://h/x"),
        ("http://u:p?Geheim@h/x", "http://h/x"),
        ("http://u:p'Geheim@h/x", "http://h/x"),
        ('http://u:p">Geheim@h/x', "http://h/x"),
        ("http://u:pa ssGeheim@h/x is gone", "http://h/x is gone"),
        ("http:\\\\u:Geheim@h", "http:\\\\h"),
        ("cannot reach u:Geheim@h", "cannot reach h"),
        ("http%3A%2F%2Fu%3AGeheim%40h%2Fx%3Ftoken%3DGeheim", "http%3A%2F%2Fh%2Fx%3F..."),
        ('https://h/x?a="Geheim"', 'https://h/x?..."'),
        ("https://h/x?a=(b)Geheim, gone", "https://h/x?..., gone"),
        ("https://h/x?a=[b]Geheim", "https://h/x?..."),
        ("https://h/x#access_token=Geheim", "https://h/x#..."),
        ("https://h/x;jsessionid=Geheim", "https://h/x;..."),
        ("(url: /x;jsessionid=Geheim)", "(url: /x;...)"),
        ("{'Authorization': 'Bearer Geheim', 'x': 1}", "{'Authorization': ..."),
        ("Proxy-Authorization: Basic Z2VoZWlt\nnext", "Proxy-Authorization: ...\nnext"),
        ("Cookie: a=Geheim; b=Geheim", "Cookie: ..."),
        ("sent Bearer Geheim.1 twice", "sent Bearer ... twice"),
        ("token=Geheim, MLFLOW_TRACKING_TOKEN=Geheim", "token=..., MLFLOW_TRACKING_TOKEN=..."),
        ('{"access_token": "Geheim 2", "n": 1}', '{"access_token": ..., "n": 1}'),
        ("MLFLOW_TRACKING_PASSWORD='Geheim 2'", "MLFLOW_TRACKING_PASSWORD=..."),
    ],
)
def test_what_is_shown(text, shown):
    assert public(text) == shown
    assert public(shown) == shown


def test_known_secrets_are_cut_out_wherever_they_stand_the_longer_ones_first():
    assert (
        without("me:Geheim and Geheim and xGeheim2", {"Geheim", "me:Geheim", "abc"})
        == "... and ... and x...2"
    )
    assert without("abc", {"abc"}) == "abc", "too short to be told from other text"


@pytest.mark.parametrize(
    ("url", "what"),
    [
        ("https://user:pass@host/a", "a user or a password"),
        ("ftp://user:pass@host/a", "a user or a password"),
        ("https://ghp_abc@host/a", "a user or a password"),
        ("https://host/a?token=abc", "a secret, `token`"),
        ("https://host/a?x=1&access_token=abc", "a secret, `access_token`"),
        ("https://host/a?X-Amz-Date=1&X-Amz-Signature=abc", "a secret, `X-Amz-Signature`"),
        ("https://host/a?SIG=abc", "a secret, `SIG`"),
        ("https://host/a?apiKey=", "a secret, `apiKey`"),
        ("https://host/a?version=2&download=1", None),
        ("https://host/a?tokenizer=x&design=y", "what may be a secret, after the `?`"),
        ("https://host/a?Geheim", "what may be a secret, after the `?`"),
        ("https://host/a?key=1", "what may be a secret, after the `?`"),
        ("https://host/a?jwt=1", "a secret, `jwt`"),
        ("https://host/a?session=1", "a secret, `session`"),
        ("https://host/a?api.key=1", "a secret, `api.key`"),
        ("https://host/a#token=1", "what may be a secret, after the `#`"),
        ("https://host/a;token=1", "what may be a secret, after the `;`"),
        ("ftp://Geheim@host", "a user or a password"),
        ("http:\\\\u:Geheim@host", "a user or a password"),
        ("https:u:Geheim@host/a", "a user or a password"),
        ("https://u:pa/Geheim@host/a", "a user or a password"),
        ("https://u:p#Geheim@host/a", "a user or a password"),
        ("https://u:p@[broken", "a user or a password"),
        ("file://u:p@host/a", "a user or a password"),
        ("file:x?token=1", "a secret, `token`"),
        ("https://host/a@b.tar?id=1&export=download&confirm=t", None),
        ("file:data/a@b?token", None),
        ("file:///a?b/x#1.tar", None),
        ("https://[broken", None),
    ],
)
def test_what_must_not_be_written_down(url, what):
    assert secret(url) == what


@pytest.mark.parametrize("url", ["https://user:Geheim@host/a.tar", "https://host/a.tar?sig=Geheim"])
def test_params_refuse_it_without_repeating_it(url):
    with pytest.raises(
        UserError, match=r"^urls\[1\]: https://host/a\.tar.* holds a .*~/\.netrc .*--from-local"
    ) as error:
        Source(("https://host/a.tar", url), ())
    assert "Geheim" not in str(error.value)


@pytest.mark.parametrize(
    "url", ["https://host", "https://host/", "https://host/a/..", "https://host/a/."]
)
def test_a_url_without_the_name_of_a_file_would_be_a_folder(url):
    with pytest.raises(
        UserError, match=r"^urls\[0\]: expected a URL that ends in the name of a file"
    ):
        Source((url,), ())


@pytest.mark.parametrize(
    ("environment", "direct"),
    [
        ({}, None),
        ({"no_proxy": "host"}, None),  # without a proxy there is nothing to spare
        ({"HTTP_PROXY": ""}, None),
        ({"HTTP_PROXY": "http://proxy"}, "localhost,127.0.0.1,::1"),
        ({"https_proxy": "p", "no_proxy": "a.b, 127.0.0.1"}, "a.b,127.0.0.1,localhost,::1"),
        ({"ALL_PROXY": "p", "NO_PROXY": "a.b"}, "a.b,localhost,127.0.0.1,::1"),
        ({"http_proxy": "p", "NO_PROXY": "*"}, "*"),
    ],
)
def test_no_proxy_is_asked_for_this_machine(environment, direct):
    wanted = {} if direct is None else {"no_proxy": direct, "NO_PROXY": direct}
    assert sparing(environment) == wanted
