"""What training on many machines takes, worked out from stated assumptions; nothing is measured.

Each formula is a function of its own, with its units and its source. `print_plan` puts them
together for a cluster and a corpus. Machines compute, then wait for the network: nothing overlaps,
because the gradient of a recurrent matrix is complete only when the backward pass has come to the
first token of the window, and a network of a few layers has little left to compute by then.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from charlm.config import DEFAULT_SAVE_EVERY, CorpusConfig, ModelConfig
from charlm.corpus.batches import STREAM_SEGMENT
from charlm.corpus.encoding import SAMPLE_BYTES
from charlm.corpus.shards import SEARCHED_BYTES, SHARD_BYTES
from charlm.corpus.windows import SEGMENT_LENGTH
from charlm.parameters import SHARED, parameters

FLOAT32, BFLOAT16 = 4, 2  # bytes
# Copies of the parameters in a run's state: the last network, the best, two moments of AdamW.
COPIES_IN_STATE = 4
# A step: clock and wish to stop, counts of targets, DistributedDataParallel's map of what is used.
SMALL_REDUCTIONS = 3
AVERAGED_EVERY = 8  # steps of local SGD in the tables
WANTED_EFFICIENCY = 0.9
# Over the whole corpus: check and hash it, find the cut; and of the first process fingerprint it.
PASSES_AT_START, PASSES_OF_OTHERS = 3, 2
HELD_OUT = CorpusConfig.max_validation_characters
# Bytes of DistributedDataParallel's buckets, each reduced on its own: the first, and all others.
FIRST_BUCKET, BUCKET = 1 << 20, 25 << 20
DAY, HOUR = 86_400.0, 3_600.0  # seconds


@dataclass(frozen=True, kw_only=True)
class Node:
    """One machine as a rank sees it.

    Attributes:
        name: What tables call it.
        flops: Floating-point operations per second that training achieves.
        streams: That it reads side by side, its share of the global batch.
        memory_bandwidth: Bytes per second.
    """

    name: str
    flops: float
    streams: int
    memory_bandwidth: float


@dataclass(frozen=True, kw_only=True)
class Link:
    """What connects two machines: bits per second of each direction, and seconds of a message."""

    bits_per_second: float
    latency: float


@dataclass(frozen=True, kw_only=True)
class Network:
    """A network to train.

    Attributes:
        name: Layers and units.
        parameters: All trained values; as many gradients are sent.
        multiplied: Those that every token is multiplied by: all but the input embedding.
    """

    name: str
    parameters: int
    multiplied: int


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """A tokenizer.

    Attributes:
        name: Of it.
        speed: Bytes per second that one core encodes.
        tokens_per_byte: Tokens it makes of a byte of text.
        id_bytes: Bytes of an id.
    """

    name: str
    speed: float
    tokens_per_byte: float
    id_bytes: int


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """All that a plan assumes; seconds and bytes.

    Attributes:
        nodes: Machines, one rank each.
        kinds: Of what kind they may be.
        links: What may connect them.
        networks: What may be trained.
        encodings: Tokenizers.
        corpus: Bytes of text, one a token.
        bptt_length: Tokens of a stream that a step reads.
        cores: Of a machine, for encoding.
        read_speed: Bytes per second of one process in each of the passes at the start.
        disk_speed: Bytes per second at which a state is written.
        mean_time_between_failures: Seconds, of one machine.
        restart: Seconds to notice a death and begin again, without reading the corpus.
        critical_batches: Tokens, see `tokens_factor`.
    """

    nodes: int
    kinds: Sequence[Node]
    links: Sequence[Link]
    networks: Sequence[Network]
    encodings: Sequence[Encoding]
    corpus: float
    bptt_length: int
    cores: int
    read_speed: float
    disk_speed: float
    mean_time_between_failures: float
    restart: float
    critical_batches: Sequence[float]


def network_of(num_layers: int, hidden_size: int, vocab_size: int) -> Network:
    """Return charlm's LSTM of so many layers and units, with an output matrix of its own."""
    config = ModelConfig(num_layers=num_layers, hidden_size=hidden_size)
    sizes = {each.name: each.size for each in parameters(config, vocab_size)}
    total = sum(sizes.values())
    return Network(
        name=f"{num_layers} × {hidden_size}", parameters=total, multiplied=total - sizes[SHARED]
    )


def ring_bytes(payload: float, nodes: int) -> float:
    """Return the bytes that each node sends, and receives, to sum `payload` bytes over all.

    2 (N − 1) / N of them: each node passes on N − 1 of N pieces to be summed, then as many sums.
    No algorithm sends less (Patarasuk & Yuan 2009, https://doi.org/10.1016/j.jpdc.2008.09.002).
    """
    return 2 * (nodes - 1) / nodes * payload


def ring_seconds(payload: float, nodes: int, link: Link) -> float:
    """Return the seconds of a ring all-reduce: 2 (N − 1) messages one after the other.

    The source is that of `ring_bytes`; the sums are taken to cost nothing.
    """
    bytes_per_second = link.bits_per_second / 8
    return 2 * (nodes - 1) * link.latency + ring_bytes(payload, nodes) / bytes_per_second


def bucket_count(payload: float) -> int:
    """Return in how many reductions DistributedDataParallel sums `payload` bytes of gradients.

    The first takes 1 MiB, the others 25 MiB (Li et al. 2020, https://arxiv.org/abs/2006.15704, and
    PyTorch's defaults). Buckets hold whole tensors, so there may be fewer.
    """
    return 1 + max(0, math.ceil((payload - FIRST_BUCKET) / BUCKET))


def compute_seconds(network: Network, tokens: float, flops: float) -> float:
    """Return the seconds in which a node learns from so many tokens.

    6 operations for each token and parameter: 2 forward and 4 backward (Kaplan et al. 2020,
    https://arxiv.org/abs/2001.08361, section 2.1).
    """
    return 6 * network.multiplied * tokens / flops


def wire_seconds(network: Network, nodes: int, link: Link, bytes_per_value: int) -> float:
    """Return the seconds of a step in which nodes wait for the network: gradients and control."""
    payload = network.parameters * bytes_per_value
    buckets = bucket_count(network.parameters * FLOAT32)
    messages = 2 * (nodes - 1) * (buckets - 1 + SMALL_REDUCTIONS)
    return ring_seconds(payload, nodes, link) + messages * link.latency


def efficiency(compute: float, wire: float, every: int = 1) -> float:
    """Return the share of the time in which nodes compute, in (0, 1].

    Args:
        compute: Seconds of a step.
        wire: Seconds of an exchange.
        every: Steps from one exchange to the next; more than 1 is local SGD, which averages
            parameters, as many bytes as gradients (Stich 2018, https://arxiv.org/abs/1805.09767;
            Lin et al. 2018, https://arxiv.org/abs/1808.07217), if control waits as long.
    """
    return compute / (compute + wire / every)


def averaging_interval(compute: float, wire: float, wanted: float) -> int:
    """Return the fewest steps between exchanges that reach the `wanted` efficiency."""
    return max(1, math.ceil(wire / compute * wanted / (1 - wanted) * (1 - 1e-12)))


def bf16_break_even(nodes: int, memory_bandwidth: float) -> float:
    """Return the bits per second of a link below which gradients are better sent as bfloat16.

    A value saves 2 bytes in each of 2 (N − 1) / N transfers, and costs 12 bytes of memory traffic:
    4 read and 2 written before, 2 read and 4 written after.
    """
    return 8 * memory_bandwidth * ring_bytes(FLOAT32 - BFLOAT16, nodes) / 12


def tokens_factor(batch: float, critical: float) -> float:
    """Return how many times the tokens of a small batch reach the same loss: 1 + B / B_critical.

    Steps are 1 + B_critical / B times those of an endless batch (McCandlish et al. 2018,
    https://arxiv.org/abs/1812.06162, section 2).
    """
    return 1 + batch / critical


def speed_up(nodes: int, batch: float, critical: float, share: float) -> float:
    """Return how many times sooner `nodes` come to the same loss as one of them alone.

    Args:
        nodes: Machines.
        batch: Tokens of a step on each; the global batch is `nodes` times that.
        critical: Critical batch size in tokens, see `tokens_factor`.
        share: Efficiency of the nodes.
    """
    return nodes * share * tokens_factor(batch, critical) / tokens_factor(nodes * batch, critical)


def share_of_parts(segments: float, nodes: int) -> float:
    """Return the share of all parts that a node reads something of.

    1 − (1 − 1 / N)^segments, if the segments of a part fall to nodes by chance.
    """
    return float(1 - (1 - 1 / nodes) ** segments)


def young_interval(save: float, mean_time_between_failures: float) -> float:
    """Return the seconds between saves that lose least: √(2 × save × time between failures).

    Young 1974, https://doi.org/10.1145/361147.361115; Daly 2006,
    https://doi.org/10.1016/j.future.2004.11.016, has terms of higher order, which matter when a
    save takes more than some hundredths of the time between failures.
    """
    return math.sqrt(2 * save * mean_time_between_failures)


def added_share(
    interval: float, save: float, mean_time_between_failures: float, restart: float
) -> float:
    """Return what saving and failing add to the time of learning, as a share of it.

    save / interval, and at each failure half an interval and a restart, to the first order; the
    source is that of `young_interval`.
    """
    return save / interval + (interval / 2 + restart) / mean_time_between_failures


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown; all columns but the first are aligned right."""
    lines = [header, ["---", *["--:"] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def in_bytes(number: float) -> str:
    """Return a number of bytes in three digits, such as "5.39 MB"."""
    return _in_units(number, {"B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12})


def in_time(seconds: float) -> str:
    """Return a time in three digits, such as "43.1 ms"."""
    units = {"µs": 1e-6, "ms": 1e-3, "s": 1, "min": 60, "h": HOUR, "days": DAY}
    return _in_units(seconds, units)


def in_percent(share: float, digits: int = 0) -> str:
    """Return a share in percent, such as "13 %"."""
    return f"{100 * share:.{digits}f} %"


def _in_units(number: float, units: dict[str, float]) -> str:
    name, size = next(iter(units.items()))
    for each, least in units.items():
        if number >= least:
            name, size = each, least
    value = number / size
    digits = max(0, 2 - math.floor(math.log10(value))) if value > 0 else 0
    return f"{value:,.{min(digits, 2)}f} {name}"


def print_plan(cluster: Cluster) -> None:
    """Print all tables of a plan, with what they assume."""
    print("Sent by each node at each step, and saved\n")
    print(_sizes(cluster))
    for kind in cluster.kinds:
        print(
            f"\n{cluster.nodes} nodes, {kind.name}: {kind.flops / 1e12:g} TFLOP/s achieved, "
            f"{kind.streams} streams of {cluster.bptt_length} tokens each; "
            f"{in_time(cluster.links[0].latency)} a message\n"
        )
        print(_steps(cluster, kind))
        limit = bf16_break_even(cluster.nodes, kind.memory_bandwidth) / 1e9
        print(
            f"\nbfloat16 pays below {limit:,.0f} Gbit/s "
            f"(memory of {kind.memory_bandwidth / 1e9:,.0f} GB/s)"
        )
    print(f"\nThe same loss, {cluster.nodes} nodes beside one, if none ever waited\n")
    print(_batches(cluster))
    print(f"\nEncoding {in_bytes(cluster.corpus)} of text, {cluster.cores} cores a node\n")
    print(_encodings(cluster))
    print("\nBefore the first step\n")
    print(_start(cluster))
    print(
        f"\nRestarts: a node fails every {in_time(cluster.mean_time_between_failures)}, one of "
        f"{cluster.nodes} every {in_time(cluster.mean_time_between_failures / cluster.nodes)}; "
        f"states are written at {in_bytes(cluster.disk_speed)}/s\n"
    )
    print(_restarts(cluster))


def _sizes(cluster: Cluster) -> str:
    header = ["layers × units", "parameters", "float32", "bfloat16", "state", "reductions a step"]
    return table(
        header,
        [
            [
                network.name,
                f"{network.parameters / 1e6:,.1f} million",
                in_bytes(ring_bytes(network.parameters * FLOAT32, cluster.nodes)),
                in_bytes(ring_bytes(network.parameters * BFLOAT16, cluster.nodes)),
                in_bytes(_state_bytes(network)),
                str(bucket_count(network.parameters * FLOAT32) + SMALL_REDUCTIONS),
            ]
            for network in cluster.networks
        ],
    )


def _steps(cluster: Cluster, kind: Node) -> str:
    header = ["layers × units", "Gbit/s", "computing", "waiting", "efficiency", "bfloat16"]
    header += [f"averaged every {AVERAGED_EVERY}", "one pass", "one pass, averaged"]
    header += [f"for {in_percent(WANTED_EFFICIENCY)} every"]
    tokens = kind.streams * cluster.bptt_length
    steps = cluster.corpus / (tokens * cluster.nodes)
    rows = []
    for network in cluster.networks:
        compute = compute_seconds(network, tokens, kind.flops)
        for link in cluster.links:
            wire = wire_seconds(network, cluster.nodes, link, FLOAT32)
            half = wire_seconds(network, cluster.nodes, link, BFLOAT16)
            rows.append(
                [
                    network.name,
                    f"{link.bits_per_second / 1e9:g}",
                    in_time(compute),
                    in_time(wire),
                    in_percent(efficiency(compute, wire)),
                    in_percent(efficiency(compute, half)),
                    in_percent(efficiency(compute, wire, AVERAGED_EVERY)),
                    in_time(steps * (compute + wire)),
                    in_time(steps * (compute + wire / AVERAGED_EVERY)),
                    str(averaging_interval(compute, wire, WANTED_EFFICIENCY)),
                ]
            )
    return table(header, rows)


def _batches(cluster: Cluster) -> str:
    header = ["critical batch", *(f"{_global_batch(cluster, kind):,} tokens a step"
                                  for kind in cluster.kinds)]  # fmt: skip
    rows = []
    for critical in cluster.critical_batches:
        cells = [f"{critical:,.0f} tokens"]
        for kind in cluster.kinds:
            tokens = kind.streams * cluster.bptt_length
            gain = speed_up(cluster.nodes, tokens, critical, 1.0)
            factor = tokens_factor(_global_batch(cluster, kind), critical)
            cells.append(f"{gain:.1f} times sooner, {factor:.2f} times the tokens")
        rows.append(cells)
    return table(header, rows)


def _encodings(cluster: Cluster) -> str:
    header = ["tokenizer", "a core", "parts a node reads of", "ids of all", "all, one core"]
    header += ["ids of a shard", "a shard, one core", "a shard, all cores"]
    rows = []
    for encoding in cluster.encodings:
        segments = SHARD_BYTES * encoding.tokens_per_byte / STREAM_SEGMENT
        alone = cluster.corpus / encoding.speed
        ids = cluster.corpus * encoding.tokens_per_byte * encoding.id_bytes
        rows.append(
            [
                encoding.name,
                f"{in_bytes(encoding.speed)}/s",
                in_percent(share_of_parts(segments, cluster.nodes)),
                in_bytes(ids),
                in_time(alone),
                in_bytes(ids / cluster.nodes),
                in_time(alone / cluster.nodes),
                in_time(alone / cluster.nodes / cluster.cores),
            ]
        )
    return table(header, rows)


def _start(cluster: Cluster) -> str:
    parts, pools = cluster.corpus / SHARD_BYTES, cluster.corpus / SAMPLE_BYTES
    return table(
        ["what", "today", "in shards"],
        [
            [
                f"{PASSES_AT_START} passes at {in_bytes(cluster.read_speed)}/s",
                in_time(_start_seconds(cluster)),
                in_time(_start_seconds(cluster) / cluster.nodes),
            ],
            [
                "read from storage, by all",
                in_bytes(
                    (PASSES_AT_START + PASSES_OF_OTHERS * (cluster.nodes - 1)) * cluster.corpus
                ),
                in_bytes(PASSES_AT_START * cluster.corpus),
            ],
            ["parts, each an object", f"{parts:,.0f}", f"{parts / cluster.nodes:,.0f}"],
            [
                "read for the line ends at their cuts, at most",
                in_bytes(parts * SEARCHED_BYTES),
                in_bytes(parts * SEARCHED_BYTES / cluster.nodes),
            ],
            ["pools", f"{pools:,.0f}", f"{pools / cluster.nodes:,.0f}"],
            ["from one sampled part to the next", *[in_bytes(pools * SHARD_BYTES)] * 2],
            [
                "segments of held-out text to share",
                f"{HELD_OUT // SEGMENT_LENGTH}",
                f"{HELD_OUT // SEGMENT_LENGTH / cluster.nodes:.1f} a node",
            ],
        ],
    )


def _restarts(cluster: Cluster) -> str:
    failures = cluster.mean_time_between_failures / cluster.nodes
    header = ["layers × units", "a save", f"added, every {DEFAULT_SAVE_EVERY:g} s"]
    header += ["best interval", "added then", "of it to read the corpus again"]
    reading = _start_seconds(cluster)
    rows = []
    for network in cluster.networks:
        save = _state_bytes(network) / cluster.disk_speed
        best = young_interval(save, failures)
        restart = cluster.restart + reading
        rows.append(
            [
                network.name,
                in_time(save),
                in_percent(added_share(DEFAULT_SAVE_EVERY, save, failures, restart), 1),
                in_time(best),
                in_percent(added_share(best, save, failures, restart), 1),
                in_percent(reading / failures, 1),
            ]
        )
    return table(header, rows)


def _state_bytes(network: Network) -> float:
    return COPIES_IN_STATE * FLOAT32 * network.parameters


def _global_batch(cluster: Cluster, kind: Node) -> int:
    return cluster.nodes * kind.streams * cluster.bptt_length


def _start_seconds(cluster: Cluster) -> float:
    return PASSES_AT_START * cluster.corpus / cluster.read_speed


def fit_line(sizes: Sequence[float], seconds: Sequence[float]) -> tuple[float, float]:
    """Return latency in seconds and seconds per byte of the line that is nearest in proportion.

    Least squares of what the line is off by as a share of each measured time, so that short
    messages count as much as long ones; neither figure is below 0.
    """
    measured = np.asarray(seconds, np.float64)
    columns = np.stack([np.ones(len(measured)), np.asarray(sizes, np.float64)], axis=1)
    scale = columns.max(axis=0)
    found, *_ = np.linalg.lstsq(
        columns / scale / measured[:, None], np.ones(len(measured)), rcond=None
    )
    latency, per_byte = np.maximum(found / scale, 0.0).tolist()
    return latency, per_byte
