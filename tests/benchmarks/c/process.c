/* The compiled engine's work in C: what processors/factors/kernel/process.py does to a run of deltas, all of it.
 *
 * Every factor of schemas/factors.py in places.py of the kernel, every check, and the whole state that is kept between
 * deltas: after a run both have the same bits in the same memory. layout.h is written from the kernel's own dtypes and
 * constants by tests/benchmarks/c_kernel.py.
 */
#include <stdint.h>
#include <string.h>

typedef int64_t i64;
typedef uint64_t u64;

#include "layout.h"

#include "book.h"
#include "top.h"

#include "flow.h"
#include "trades.h"

enum { DONE, NOT_ORDINARY, FULL, OTHER_WEIGHTS };
enum { SEQUENCE, EXCHANGE_NS, HAS_EXCHANGE, RECEIVED_NS, STATUS, COLUMNS };

static i64 apply_side(side *levels, i64 sign, const i64 *prices, i64 count, i64 *old, i64 *done)
{
    for (*done = 0; *done < count; ++*done) {
        i64 ticks = prices[*done], lots = prices[count + *done], key = ticks * sign;
        if (!(ticks >= 0 && ticks < EXACT_KEY && lots >= 0 && lots <= MOST - levels->at->all_lots))
            return NOT_ORDINARY;
        i64 was = is_on_ladder(levels->at, key) ? set_in_ladder(levels->at, key, lots) : set_level(levels, key, lots);
        if (was == NO_ROOM)
            return FULL;
        old[*done] = was;
    }
    keep_centred(levels);
    return DONE;
}

static void changes(const state *s, i64 before, i64 now, const head *d, const i64 *numbers, const i64 *old,
                    i64 *added, i64 *removed)
{
    i64 bids = d->spans[1] - d->spans[0], asks = d->spans[3] - d->spans[2];
    *added = *removed = 0;
    for (int n = BID; n <= ASK; n++)
        if (least(tops_known(s, before, n), tops_known(s, now, n)) < TOP) {
            *added = *removed = UNKNOWN;
            return;
        }
    changes_near_the_top(s, before, now, BID, numbers + d->spans[0], bids, old, added, removed);
    changes_near_the_top(s, before, now, ASK, numbers + d->spans[2], asks, old + bids, added, removed);
}

static int measure(state *s, const window *w, double thin_notional, const head *d, const i64 *numbers, const i64 *old)
{
    i64 before = s->now, now = 1 - s->now, added, removed;
    double *values = s->values, notional = top_notional(s, now);
    if (isnan(notional) || !quote_factors(s, now, values))
        return 0;
    if (d->has_flow) {
        if (!fits(d->flow_lots, s->unit_num))
            return 0;
        values[AT_OFI_QUOTES] = quote_flow(s, now, d->flow_lots);
    }
    if (!read_trades(s, mid2_of(s, before), d, numbers))
        return 0;
    changes(s, before, now, d, numbers, old, &added, &removed);
    if (most(s->added_sum + added, s->removed_sum + removed) > MOST)
        return 0;
    double flow = flow_between(s, before, now, 1);
    values[AT_OFI_L1] = to_base(s, flow);
    values[AT_OFI_L5] = to_base(s, flow_between(s, before, now, 5));
    add_delta(s, w, d->received_ns, flow, values[AT_OFI_QUOTES] + 0.0, added, removed);
    add_level_flows(s, before, now);
    take_trades(s, d, numbers);
    add_to_bars(s, d->received_ns, mid2_of(s, now));
    imbalance_factors(s, now, values);
    int is_known = least(tops_known(s, now, BID), tops_known(s, now, ASK)) >= 10;
    double confidence = notional / (10.0 * thin_notional);
    values[AT_CONFIDENCE] = is_known ? (confidence < 1.0 ? confidence : 1.0) : NAN;
    window_factors(s, w, d->received_ns, values);
    trade_factors(s, now, d->received_ns, values);
    bar_factors(s, values);
    past_factors(s, values);
    for (int i = 0; i < FACTORS; i++)
        values[i] = isfinite(values[i]) ? values[i] + 0.0 : NAN;
    add_event(s, values);
    return 1;
}

static int is_ordinary(const state *s, const head *d, const i64 *numbers, i64 *room)
{
    return d->epoch == s->epoch && d->previous == s->sequence && d->received_ns >= 0 && d->received_ns < 1LL << 62
        && !has_repeats(numbers + d->spans[0], d->spans[1] - d->spans[0], room)
        && !has_repeats(numbers + d->spans[2], d->spans[3] - d->spans[2], room);
}

static void describe(const head *d, i64 *about, i64 status)
{
    about[SEQUENCE] = d->sequence;
    about[EXCHANGE_NS] = d->exchange_ns;
    about[HAS_EXCHANGE] = d->has_exchange;
    about[RECEIVED_NS] = d->received_ns;
    about[STATUS] = status;
}

/* Arguments as of the kernel's `process`, with the rooms of directories and window; `ended` gets what it gives. */
void process(state *s, ladder *bid_ladder, leaf *bid_pages, i64 *bid_directory, i64 bid_room, ladder *ask_ladder,
             leaf *ask_pages, i64 *ask_directory, i64 ask_room, i64 *whole, double *flows, i64 window_room,
             double thin_notional, const head *heads, const i64 *numbers, const i64 *rows, i64 count, i64 *old,
             double *events, i64 *about, i64 *ended)
{
    side bids = {bid_ladder, bid_pages, bid_directory, bid_directory + bid_room, bid_directory + 2 * bid_room, bid_room};
    side asks = {ask_ladder, ask_pages, ask_directory, ask_directory + ask_room, ask_directory + 2 * ask_room, ask_room};
    window w = {whole, flows, window_room};
    for (i64 event = 0; event < count; event++) {
        const head *d = &heads[rows[event]];
        i64 bid_count = d->spans[1] - d->spans[0], ask_count = d->spans[3] - d->spans[2], now = 1 - s->now;
        ended[0] = event;
        ended[2] = ended[3] = 0;
        if (!is_ordinary(s, d, numbers, old)) {
            ended[1] = NOT_ORDINARY;
            return;
        }
        if (d->received_ns >= s->ofi_until_ns) {
            ended[1] = OTHER_WEIGHTS;
            return;
        }
        if (s->deltas == window_room && window_room < WINDOW_ROOM) {
            ended[1] = FULL;
            return;
        }
        ended[1] = apply_side(&bids, -1, numbers + d->spans[0], bid_count, old, &ended[2]);
        if (ended[1] == DONE)
            ended[1] = apply_side(&asks, 1, numbers + d->spans[2], ask_count, old + bid_count, &ended[3]);
        if (ended[1] != DONE)
            return;
        for (int i = 0; i < FACTORS; i++)
            s->values[i] = NAN;
        if (!(take_top(s, &bids, now, BID) && take_top(s, &asks, now, ASK) && is_open(s, now)
              && band_factors(s, &bids, &asks, now, s->values)
              && measure(s, &w, thin_notional, d, numbers, old))) {
            ended[1] = NOT_ORDINARY;
            return;
        }
        s->now = now;
        s->sequence = d->sequence;
        memcpy(events + event * FACTORS, s->values, sizeof s->values);
        describe(d, about + event * COLUMNS, top_notional(s, now) < thin_notional ? THIN : OK);
    }
    ended[0] = count;
    ended[1] = DONE;
    ended[2] = ended[3] = 0;
}
