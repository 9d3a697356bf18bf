import pytest

from fcn.addresses import public, secret
from fcn.errors import UserError
from fcn.params import Source


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://user:pass@host/a.tar", "https://host/a.tar"),
        ("https://user:p@ss:w@host:80/a@b.tar", "https://host:80/a@b.tar"),  # up to the last @ before the path
        ("https://token@host", "https://host"),
        ("postgresql://u:p%2Fq@host/db and sqlite:///mlflow.db", "postgresql://host/db and sqlite:///mlflow.db"),
        ("https://host/a.tar?token=abc", "https://host/a.tar?..."),
        ("(url: /a.tar?X-Amz-Signature=abc&x=1 (Caused by", "(url: /a.tar?... (Caused by"),
        ("'https://host/?abc' failed", "'https://host/?...' failed"),
        ("a.tar: is it the right archive? Else: other", "a.tar: is it the right archive? Else: other"),
        ("mail me@example.org // not@address", "mail me@example.org // not@address"),
    ],
)
def test_what_is_shown(text, shown):
    assert public(text) == shown
    assert public(shown) == shown


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
        ("https://host/a?tokenizer=x&design=y", None),
        ("file:data/a@b?token", None),
        ("https://[broken", None),
    ],
)
def test_what_must_not_be_written_down(url, what):
    assert secret(url) == what


@pytest.mark.parametrize("url", ["https://user:Geheim@host/a.tar", "https://host/a.tar?sig=Geheim"])
def test_params_refuse_it_without_repeating_it(url):
    with pytest.raises(UserError, match=r"^urls\[1\]: https://host/a\.tar.* holds a .*~/\.netrc .*--from-local") as error:
        Source(("https://host/a.tar", url), ())
    assert "Geheim" not in str(error.value)


@pytest.mark.parametrize("url", ["https://host", "https://host/", "https://host/a/..", "https://host/a/."])
def test_a_url_without_the_name_of_a_file_would_be_a_folder(url):
    with pytest.raises(UserError, match=r"^urls\[0\]: expected a URL that ends in the name of a file"):
        Source((url,), ())
