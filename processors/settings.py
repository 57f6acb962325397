"""What of workers can be set. Registered in `pyproject.toml`, a section a class."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, SecretStr

from obflow.settings import Count, Seconds, Section, UserPath


class ProcessorSettings(Section):
    """Workers that keep books and compute factors."""

    POSITION: ClassVar = 20
    UNITS: ClassVar = {"notional": "quote currency"}

    app_id: str = Field(default="obflow-processor", pattern=r"^[A-Za-z0-9._-]+$")
    """Name of the consumer group, and the start of its changelogs' names."""
    checkpoint_seconds: Seconds = 5.0
    """Time between two checkpoints of an instrument that receives records."""
    session_timeout_seconds: Seconds = 6.0
    """A worker silent for this long has died, and its partitions move."""
    heartbeat_seconds: Seconds = 2.0
    """Time between two signs of life to the broker."""
    watchdog_seconds: Seconds = 60.0
    """A worker whose lag grows while it processes nothing for this long ends itself."""
    engine: str = Field(default="auto", pattern=r"^[a-z][a-z0-9_-]*$")
    """Engine that computes the factors: reference, kernel (compiled, if need be at the start, which takes most of a
    minute), or auto, the kernel where it is compiled already."""
    thin_notional: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 10_000.0
    """A book with less than this near its best prices has status THIN."""
    ofi_weights: str = ""
    """Rows `venue symbol from_date mean_size w1 … w10` of `integrated_ofi_1s`, separated by semicolons."""
    max_batch_records: Count = 2_000
    """Records of one partition handed over at once."""
    conflate_above_ms: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    """Age of records beyond which a worker sends only the newest events of each instrument; 0 sends all, always."""


class RegimeSettings(Section):
    """Regime workers: thresholds of the rules, and the language model beside them."""

    POSITION: ClassVar = 30
    UNITS: ClassVar = {"windows": "windows of 5 s", "price": "USD per million tokens"}

    app_id: str = Field(default="obflow-regimes", pattern=r"^[A-Za-z0-9._-]+$")
    """Name of the consumer group, and the start of its changelog's name; else a worker is set up as a processor is."""
    checkpoint_seconds: Seconds = 5.0
    """Time between two checkpoints of an instrument that receives events."""
    half_life_windows: Annotated[float, Field(gt=0)] = 24.0
    """Half-life of the imbalance's mean and variance."""
    warmup_windows: Count = 12
    """Windows before there is a score, and the weight of a baseline that moved with a change."""
    sd_floor: Annotated[float, Field(gt=0)] = 0.02
    """Least standard deviation of the imbalance; keeps a flat book from giving huge scores."""
    lean_half_life_windows: Annotated[float, Field(gt=0)] = 2.0
    """Half-life of the lean, the short mean of the direction."""
    lean_enter: Annotated[float, Field(gt=0)] = 1.0
    """Lean above which pressure begins, standard deviations."""
    lean_leave: Annotated[float, Field(ge=0)] = 0.4
    """Lean below which it ends; the gap between the two keeps labels from flickering."""
    fast_half_life_windows: Annotated[float, Field(gt=0)] = 3.0
    """Half-life of the mean of the variance now."""
    slow_half_life_windows: Annotated[float, Field(gt=0)] = 60.0
    """Half-life of the mean that it is compared with."""
    variance_floor: Annotated[float, Field(gt=0)] = 1e-12
    """Least of that mean; keeps a still book from being volatile at its first tick."""
    variance_enter: Annotated[float, Field(gt=0)] = 2.0
    """Ratio of the two above which a window is volatile."""
    variance_leave: Annotated[float, Field(ge=0)] = 1.3
    """Ratio from which on, downwards, it no longer is."""
    change_slack: Annotated[float, Field(ge=0)] = 1.0
    """Direction that adds nothing to the sum that tells of a change, standard deviations."""
    change_bar: Annotated[float, Field(gt=0)] = 10.0
    """Sum above which a change is told."""
    change_windows: Count = 2
    """Windows for which it is told."""
    dwell_windows: Count = 3
    """Windows that a label stays at least."""
    language: Literal["en", "zh", "vi"] = "en"
    """Language of the sentences that stand with each regime, the rules' and the model's."""
    base_url: str = ""
    """OpenAI-compatible endpoint, as http://127.0.0.1:8000/v1; empty with a key set is OpenAI's own."""
    model: str = ""
    """Model to ask; has to be named where an endpoint or a key is set."""
    api_key: SecretStr = SecretStr("")
    """Key of the endpoint; better given by api_key_file, which may change under way."""
    api_key_file: UserPath | None = None
    """File that holds the key; a new one in it is validated, then used, and the one before serves a minute more."""
    deadline_seconds: Seconds = 15.0
    """Longest time from the close of a window to its answer, waiting and all tries; a later one is a row alone."""
    answer_tokens: Count = 4_000
    """Most tokens of an answer, the model's thinking among them; one that needs more is cut, paid and not used."""
    concurrency: Count = 4
    """Questions under way at once; each instrument has at most one."""
    requests_per_minute: Count = 120
    """Most requests sent in a minute."""
    breaker_failures: Count = 5
    """Failures in a row, or half of the last four times as many requests, after which the rules alone judge."""
    breaker_wait_seconds: Seconds = 30.0
    """Time until one question tries whether the endpoint is back; doubled to ten minutes while it is not."""
    prices: str = ""
    """Own rows `model from_date input cached_input output`, separated by semicolons (docs/models.md); else the prices
    below hold, else what is known of the provider at the address."""
    input_price: Annotated[float, Field(ge=0)] | None = None
    """Price of a million input tokens, USD; with that of output it holds where no row of regimes.prices does."""
    cached_input_price: Annotated[float, Field(ge=0)] | None = None
    """Price of a million input tokens that the endpoint had kept, USD; empty is that of any other."""
    output_price: Annotated[float, Field(ge=0)] | None = None
    """Price of a million output tokens, USD."""
    budget_usd_per_day: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    """Most that all workers together spend in a UTC day, USD; beyond it the rules alone judge. Needs a price."""
    budget_usd_per_minute: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    """The same in a UTC minute."""
    budget_tokens_per_day: Annotated[int, Field(ge=0)] | None = None
    """Most tokens, input and output, in a UTC day; for models without a price, too."""
    budget_tokens_per_minute: Annotated[int, Field(ge=0)] | None = None
    """The same in a UTC minute."""
    rollout: bool = False
    """Whether what the model says comes in force step by step, and only while its guards hold; else it never does."""
    rollout_stages: str = "0 24, 5 24, 10 24, 50 96, 100 0"
    """Stages of a rollout: percent of the instruments and hours that it takes at least; 0 percent is shadow."""
    rollout_questions: Count = 200
    """Questions of the candidate that a stage takes at least."""
    rollout_by_hand_above: Annotated[int, Field(ge=0, le=100)] = 10
    """Percent beyond which a stage is entered by hand alone (`obflow regimes promote`), unless the candidate was judged
    against the rules and not found worse."""
    rollout_slow_ms: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 5_000.0
    """Latency beyond which an answer is slow; a rollout ends where more than one in twenty are."""
    rollout_salt: str = ""
    """Another one has other instruments come first."""
    green_base_url: str = ""
    """Endpoint of a second model, the arm green, which is rolled out beside the first, blue; the other settings are
    those of both. Needs rollout."""
    green_model: str = ""
    """Model of that arm."""
    green_api_key: SecretStr = SecretStr("")
    """Key of that arm; better given by green_api_key_file, which may change under way."""
    green_api_key_file: UserPath | None = None
    """File that holds that key."""
    green_input_price: Annotated[float, Field(ge=0)] | None = None
    """Price of a million input tokens of that arm, USD."""
    green_cached_input_price: Annotated[float, Field(ge=0)] | None = None
    """Price of a million input tokens that its endpoint had kept, USD; empty is that of any other."""
    green_output_price: Annotated[float, Field(ge=0)] | None = None
    """Price of a million output tokens of that arm, USD."""


class FeeSettings(Section):
    """What venues take for a trade; read by every stage that speaks of costs."""

    POSITION: ClassVar = 31

    tier: str = Field(default="regular", pattern=r"^\S+$")
    """Tier of volume whose rows count."""
    table: str = (
        "binance spot regular 2023-01-01 10 10; binance-futures linear regular 2023-01-01 2 5; "
        "binance-delivery inverse regular 2023-01-01 2 5; bybit linear regular 2023-01-01 2 5.5; "
        "bybit inverse regular 2023-01-01 2 5.5; bybit-spot spot regular 2023-01-01 10 10; "
        "okx spot regular 2023-01-01 8 10; okx linear regular 2023-01-01 2 5; okx inverse regular 2023-01-01 2 5; "
        "deribit inverse regular 2023-01-01 0 5; deribit linear regular 2023-01-01 0 5"
    )
    """Rows `venue kind tier from_date maker_bps taker_bps`, separated by semicolons; who has no row has no cost.

    The defaults are the venues' published fees of their lowest tier, in rows of 2023-01-01: set those of your own
    account (docs/research.md).
    """


class SignalSettings(Section):
    """Signal workers: what a signal needs to open and to stay."""

    POSITION: ClassVar = 32
    UNITS: ClassVar = {"enter": "sd", "leave": "sd"}

    app_id: str = Field(default="obflow-signals", pattern=r"^[A-Za-z0-9._-]+$")
    """Name of the consumer group, and the start of its changelog's name; else a worker is set up as a processor is."""
    checkpoint_seconds: Seconds = 5.0
    """Time between two checkpoints of an instrument that receives events."""
    half_life_seconds: Seconds = 60.0
    """Half-life of the baseline's mean and variance."""
    warmup_seconds: Seconds = 60.0
    """Time observed before there is a score."""
    imbalance_enter: Annotated[float, Field(gt=0)] = 1.5
    """Score from which an imbalance signal opens."""
    imbalance_sd_floor: Annotated[float, Field(gt=0)] = 0.02
    """Least standard deviation of the imbalance; keeps a flat book from giving huge scores."""
    flow_enter: Annotated[float, Field(gt=0)] = 2.5
    """Score from which an order flow signal opens."""
    flow_sd_floor: Annotated[float, Field(gt=0)] = 1e-9
    """Least standard deviation of the order flow."""
    classic_enter: Annotated[float, Field(gt=0)] = 2.0
    """Score from which a classic signal opens: the best level's imbalance against the 20 events before."""
    leave: Annotated[float, Field(ge=0)] = 0.5
    """Score below which a signal closes."""
    trend_seconds: Seconds = 5.0
    """Length of the trend's newer part."""
    trend_before_seconds: Seconds = 10.0
    """Length of the part before, which it is compared with."""
    need_trend: bool = True
    """Whether a signal opens only where the trend goes its way."""
    horizon_seconds: Seconds = 5.0
    """Longest time a signal stays open, and the time its forecast is about."""
    cooldown_seconds: Seconds = 1.0
    """Least time from a close to the next opening."""
    latency_ms: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 100.0
    """Time from an opening to the price its forecast starts from."""
    slopes: str = ""
    """Fitted rows `venue symbol kind bps_per_z`, separated by semicolons; without one no edge is computed."""


class AnomalySettings(Section):
    """Anomaly workers: when a book is not as it was."""

    POSITION: ClassVar = 33
    UNITS: ClassVar = {"z": "sd", "share": "ratio"}

    app_id: str = Field(default="obflow-anomalies", pattern=r"^[A-Za-z0-9._-]+$")
    """Name of the consumer group, and the start of its changelog's name; else a worker is set up as a processor is."""
    checkpoint_seconds: Seconds = 5.0
    """Time between two checkpoints of an instrument that receives events."""
    half_life_seconds: Seconds = 300.0
    """Half-life of the depth's baseline."""
    warmup_seconds: Seconds = 60.0
    """Time observed before there is an alarm."""
    shift_z: Annotated[float, Field(gt=0)] = 4.0
    """How far below its baseline the depth has to lie."""
    shift_share: Annotated[float, Field(gt=0, lt=1)] = 0.7
    """Share of its baseline that the depth may have left, too."""
    shift_floor: Annotated[float, Field(gt=0)] = 0.02
    """Least standard deviation of the depth's logarithm."""
    shift_held_seconds: Annotated[float, Field(ge=0)] = 0.5
    """How long both have to hold."""
    rearm_z: Annotated[float, Field(gt=0)] = 2.0
    """How far below its baseline the depth may lie where the episode ends."""
    recovery_seconds: Seconds = 60.0
    """Longest time for which a recovery is watched."""
    status_held_seconds: Annotated[float, Field(ge=0)] = 0.5
    """How long a book has to be one-sided or locked."""


class LevelSettings(Section):
    """Level workers: wide spreads, and large orders that come and go."""

    POSITION: ClassVar = 33
    UNITS: ClassVar = {"ticks": "ticks", "share": "ratio", "multiple": "ratio", "flow": "ratio", "score": "ratio"}

    app_id: str = Field(default="obflow-levels", pattern=r"^[A-Za-z0-9._-]+$")
    """Name of the consumer group, and the start of its changelog's name; else a worker is set up as a processor is."""
    checkpoint_seconds: Seconds = 5.0
    """Time between two checkpoints of an instrument that receives records."""
    half_life_seconds: Seconds = 300.0
    """Half-life of the spread's baseline."""
    warmup_seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 60.0
    """Time observed before a spread is called wide."""
    spread_ticks: Annotated[int, Field(ge=1)] = 5
    """Least spread that is called wide."""
    spread_multiple: Annotated[float, Field(ge=1, allow_inf_nan=False)] = 4.0
    """How many times its mean it has to be, too."""
    spread_held_seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.5
    """How long both have to hold."""
    near_bps: Annotated[int, Field(ge=1, le=1000)] = 10
    """Greatest distance from mid of an order that is watched, and of what its size is compared with."""
    order_share: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 0.2
    """Least growth of a level that is watched, as a share of its side near mid."""
    order_live_seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 5.0
    """How long a book has to be whole before orders are watched."""
    order_left_share: Annotated[float, Field(ge=0, lt=1)] = 0.2
    """Share of what was added that may be left where an order is gone."""
    order_watched_seconds: Seconds = 30.0
    """Longest time that an order is watched."""
    order_least_seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.5
    """Time that an order has to stand, to be more than a flicker."""
    order_full_share: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 0.4
    """Share of its side from which an order counts whole."""
    order_cancelled_share: Annotated[float, Field(ge=0, lt=1)] = 0.8
    """Share of what went that has to have gone untraded."""
    order_full_move_bps: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    """Move of the mid, in the order's favour, from which it counts whole."""
    order_full_flow: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 0.02
    """Aggressive size the order's way, over what was added, from which it counts whole."""
    order_score: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Score from which a pattern is published."""


class StalenessSettings(Section):
    """Staleness workers: feeds that are stale, as anomalies. After how long one is, the producer's settings say."""

    POSITION: ClassVar = 33

    app_id: str = Field(default="obflow-staleness", pattern=r"^[A-Za-z0-9._-]+$")
    """Name of the consumer group, and the start of its changelog's name; else a worker is set up as a processor is."""
    checkpoint_seconds: Seconds = 5.0
    """Time between two checkpoints of an instrument that receives statuses."""


class QuoteSettings(Section):
    """Quote workers: tops of books, by canonical symbol."""

    POSITION: ClassVar = 34

    app_id: str = Field(default="obflow-quotes", pattern=r"^[A-Za-z0-9._-]+$")
    """Name of the consumer group, and the start of its changelog's name; else a worker is set up as a processor is."""
    checkpoint_seconds: Seconds = 5.0
    """Time between two checkpoints of an instrument that receives records."""
    least_ms: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 20.0
    """Least time between two quotes of an instrument whose book goes on."""
    heartbeat_seconds: Seconds = 1.0
    """Longest time between two quotes of a book that receives updates, changed or not."""
    symbols: str = ""
    """Rows `venue symbol base quote`, separated by semicolons, for names that do not say both by themselves."""


class ArbitrageSettings(Section):
    """Arbitrage workers: what makes two books of one canonical symbol worth a word."""

    POSITION: ClassVar = 35
    UNITS: ClassVar = {"notional": "quote currency", "capital": "quote currency"}

    app_id: str = Field(default="obflow-arbitrage", pattern=r"^[A-Za-z0-9._-]+$")
    """Name of the consumer group, and the start of its changelog's name; else a worker is set up as a processor is."""
    checkpoint_seconds: Seconds = 5.0
    """Time between two checkpoints of a canonical symbol that receives quotes."""
    bar_bps: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 5.0
    """What each lot has to bring, after fees."""
    fresh_seconds: Seconds = 1.0
    """Greatest age of a book, against the quote that is being looked at."""
    max_clock_skew_ms: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    """Taken off that age; 50 where producers run on several hosts, whose clocks differ."""
    min_notional: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1_000.0
    """Least cost of an opportunity."""
    capital: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 10_000.0
    """What one has to spend, for the profit that is shown beside that of the whole size."""
    peak_share: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.1
    """By how much a profit has to exceed the last one told to be told, too."""
