/* Depths within bands of the mid, order flow, the deltas of the last second and the previous events. */

#define NOT_KNOWN (-1)
#define OUT_OF_RANGE (-2)
#define UNKNOWN (-1)
#define PAST_L1 0
#define PAST_L5 1
#define PAST_DEPTH 2
#define TIMES 0
#define ADDED 1
#define REMOVED 2
#define FLOWS 0
#define QUOTES 1

typedef struct {
    i64 *whole;
    double *parts;
    i64 room;
} window;

static inline i64 *wholes(const window *w, int row) { return w->whole + row * w->room; }
static inline double *parts(const window *w, int row) { return w->parts + row * w->room; }

static void sum_places(const ladder *l, i64 start, i64 end, i64 *lots, i64 *notional)
{
    for (i64 offset = start; offset < end; offset++) {
        *lots += l->lots[offset];
        *notional = plus_product(*notional, magnitude(l->base + offset), l->lots[offset]);
    }
}

static void sum_ladder(const ladder *l, i64 start, i64 end, i64 *lots, i64 *notional)
{
    i64 first = (start + WITHIN) >> BITS, last = end >> BITS;
    if (first >= last) {
        sum_places(l, start, end, lots, notional);
        return;
    }
    sum_places(l, start, first << BITS, lots, notional);
    sum_places(l, last << BITS, end, lots, notional);
    for (i64 number = first; number < last; number++) {
        *lots += l->lots_sums[number];
        *notional = plus_product(*notional, 1, l->notional_sums[number]);
    }
}

static i64 edge_of(i64 sum_ticks, i64 bps, int n)
{
    i64 whole = sum_ticks / 20000, rest = sum_ticks % 20000;
    if (n == BID)
        return -(whole * (10000 - bps) + (rest * (10000 - bps) + 19999) / 20000);
    return whole * (10000 + bps) + rest * (10000 + bps) / 20000;
}

static const i64 BANDS_BPS[4] = {5, 10, 20, 25};
static const int DEPTHS[2][4] = {
    {AT_BID_DEPTH_5BPS, AT_BID_DEPTH_10BPS, -1, AT_BID_DEPTH_25BPS},
    {AT_ASK_DEPTH_5BPS, AT_ASK_DEPTH_10BPS, -1, AT_ASK_DEPTH_25BPS},
};
static const int SLOPES[2] = {AT_DEPTH_SLOPE_BID_25BPS, AT_DEPTH_SLOPE_ASK_25BPS};

static i64 depths(const state *s, const side *levels, int n, i64 sum_ticks, i64 best, double *values)
{
    const ladder *l = levels->at;
    i64 place = 0, at = 0, lots = 0, notional = 0, totals[4] = {0}, within_10 = NOT_KNOWN;
    i64 start = l->first_block << BITS;
    for (int band = 0; band < 4; band++) {
        i64 edge = edge_of(sum_ticks, BANDS_BPS[band], n);
        if (s->reach[n] != ALL && edge > s->limits[n])
            break;
        i64 end = least(edge + 1 - l->base, l->width);
        if (start < end) {
            sum_ladder(l, start, end, &lots, &notional);
            start = end;
        }
        while (place < l->pages) {
            const leaf *page = &levels->pages[levels->order[place]];
            if (at == 0 && page->keys[page->count - 1] <= edge) {
                lots += page->lots_sum;
                notional = plus_product(notional, 1, page->notional_sum);
                place++;
                continue;
            }
            for (; at < page->count && page->keys[at] <= edge; at++) {
                lots += page->lots[at];
                notional = plus_product(notional, magnitude(page->keys[at]), page->lots[at]);
            }
            if (at < page->count)
                break;
            place++;
            at = 0;
        }
        if (!fits(2 * most(best, magnitude(edge)), lots))
            return OUT_OF_RANGE;
        totals[band] = s->is_inverse ? lots : notional;
        if (DEPTHS[n][band] >= 0)
            values[DEPTHS[n][band]] = notional_of(s, totals[band]);
        if (band == 1)
            within_10 = totals[band];
        if (band == 3 && s->levels_known[n] >= LEAST_LEVELS)
            values[SLOPES[n]] = notional_of(s, 2 * (totals[3] - totals[0]) + totals[2] - totals[1]) / 50.0;
    }
    return within_10;
}

static int band_factors(const state *s, const side *bids, const side *asks, i64 which, double *values)
{
    i64 bid = s->ticks[which][BID][0], ask = s->ticks[which][ASK][0];
    i64 bid_total = depths(s, bids, BID, bid + ask, bid, values);
    i64 ask_total = depths(s, asks, ASK, bid + ask, ask, values);
    if (bid_total == OUT_OF_RANGE || ask_total == OUT_OF_RANGE)
        return 0;
    if (bid_total >= 0 && ask_total >= 0)
        values[AT_OBI_10BPS] = ratio(bid_total, ask_total);
    return 1;
}

static inline double gain(const state *s, i64 before, i64 now, int n, i64 level, i64 sign)
{
    i64 better = (s->ticks[now][n][level] - s->ticks[before][n][level]) * sign;
    double gained = better >= 0 ? s->sizes[now][n][level] : 0.0;
    double lost = better <= 0 ? s->sizes[before][n][level] : 0.0;
    return gained - lost;
}

static double flow_between(const state *s, i64 before, i64 now, i64 levels)
{
    double flow = 0.0;
    if (least(s->top_counts[before][BID], s->top_counts[before][ASK]) < levels
        || least(s->top_counts[now][BID], s->top_counts[now][ASK]) < levels)
        return NAN;
    for (i64 level = 0; level < levels; level++)
        flow += gain(s, before, now, BID, level, 1) - gain(s, before, now, ASK, level, -1);
    return flow;
}

static void add_level_flows(state *s, i64 before, i64 now)
{
    i64 at = s->next_levels, count = least(s->top_counts[before][BID], s->top_counts[before][ASK]);
    count = least(least(DEEP, count), least(s->top_counts[now][BID], s->top_counts[now][ASK]));
    for (i64 level = 0; level < count; level++) {
        double gained = gain(s, before, now, BID, level, 1);
        s->level_flows[at][level] = gained - gain(s, before, now, ASK, level, -1);
    }
    s->level_counts[at] = count;
    s->next_levels = (at + 1) & (LEVELS_MAX - 1);
}

static i64 sum_level_flows(state *s)
{
    i64 known = DEEP, start = s->next_levels - s->deltas;
    if (s->deltas <= 0 || s->deltas > LEVELS_MAX)
        return 0;
    for (i64 i = 0; i < s->deltas; i++)
        known = least(known, s->level_counts[(start + i) & (LEVELS_MAX - 1)]);
    for (i64 level = 0; level < known; level++)
        s->level_sums[level] = 0.0;
    for (i64 i = 0; i < s->deltas; i++)
        for (i64 level = 0; level < known; level++)
            s->level_sums[level] += s->level_flows[(start + i) & (LEVELS_MAX - 1)][level];
    return known;
}

static double quote_flow(const state *s, i64 now, i64 flow_lots)
{
    double size = size_of(s, flow_lots);
    return s->is_inverse ? size / (price_of(s, s->ticks[now][BID][0] + s->ticks[now][ASK][0]) / 2) : size;
}

static int is_before(const void *one, const void *other)
{
    i64 a = *(const i64 *)one, b = *(const i64 *)other;
    return (a > b) - (a < b);
}

static int has_repeats(const i64 *prices, i64 count, i64 *room)
{
    int rising = 1, falling = 1, repeats = 0;
    for (i64 i = 1; i < count; i++) {
        rising &= prices[i - 1] < prices[i];
        falling &= prices[i - 1] > prices[i];
    }
    if (rising || falling)
        return 0;
    for (i64 i = 0; i < count; i++)
        room[i] = prices[i];
    qsort(room, (size_t)count, sizeof *room, is_before);
    for (i64 i = 1; i < count; i++)
        repeats |= room[i - 1] == room[i];
    return repeats;
}

static i64 reach_of(const state *s, i64 which, int n, i64 sign)
{
    return s->top_counts[which][n] < TOP ? 1LL << 62 : s->ticks[which][n][TOP - 1] * sign;
}

static void changes_near_the_top(const state *s, i64 before, i64 now, int n, const i64 *prices, i64 count,
                                 const i64 *old, i64 *added, i64 *removed)
{
    i64 sign = n == ASK ? 1 : -1, reach_before = reach_of(s, before, n, sign), reach_now = reach_of(s, now, n, sign);
    for (i64 i = 0; i < count; i++) {
        i64 key = prices[i] * sign, lots = prices[count + i], was = old[i];
        if ((was && key <= reach_before) || (lots && key <= reach_now)) {
            *added += lots > was ? lots - was : 0;
            *removed += lots > was ? 0 : was - lots;
        }
    }
}

static void count_delta(state *s, const window *w, i64 at, i64 sign)
{
    s->deltas += sign;
    if (isnan(parts(w, QUOTES)[at]))
        s->without_quotes += sign;
    if (wholes(w, ADDED)[at] == UNKNOWN) {
        s->without_changes += sign;
    } else {
        s->added_sum += sign * wholes(w, ADDED)[at];
        s->removed_sum += sign * wholes(w, REMOVED)[at];
    }
}

static i64 drop_oldest_delta(state *s, const window *w)
{
    i64 at = s->oldest;
    s->oldest = (at + 1) & (w->room - 1);
    count_delta(s, w, at, -1);
    return wholes(w, TIMES)[at];
}

static void add_delta(state *s, const window *w, i64 received_ns, double flow, double quotes, i64 added, i64 removed)
{
    while (s->deltas && wholes(w, TIMES)[s->oldest] <= received_ns - WINDOW_NS)
        drop_oldest_delta(s, w);
    i64 at = (s->oldest + s->deltas) & (w->room - 1);
    wholes(w, TIMES)[at] = received_ns;
    wholes(w, ADDED)[at] = added;
    wholes(w, REMOVED)[at] = removed;
    parts(w, FLOWS)[at] = flow;
    parts(w, QUOTES)[at] = quotes;
    count_delta(s, w, at, 1);
    if (s->deltas > WINDOW_MAX)
        s->whole_since_ns = drop_oldest_delta(s, w);
}

static void window_factors(state *s, const window *w, i64 received_ns, double *values)
{
    double flow = 0.0, quotes = 0.0, total = 0.0;
    int seen = 0;
    if (received_ns - s->whole_since_ns < WINDOW_NS)
        return;
    for (i64 i = 0; i < s->deltas; i++) {
        i64 at = (s->oldest + i) & (w->room - 1);
        quotes += parts(w, QUOTES)[at];
        if (!isnan(parts(w, FLOWS)[at])) {
            flow += parts(w, FLOWS)[at];
            seen = 1;
        }
    }
    if (seen)
        values[AT_OFI_L1_1S] = to_base(s, flow);
    if (s->deltas && !s->without_quotes)
        values[AT_OFI_QUOTES_1S] = quotes;
    i64 levels = sum_level_flows(s);
    for (i64 level = 0; level < levels; level++)
        values[AT_MLOFI_1S[level]] = to_base(s, s->level_sums[level]);
    if (levels == DEEP && s->ofi_scale > 0.0) {
        for (i64 level = 0; level < DEEP; level++)
            total += s->ofi_weights[level] * values[AT_MLOFI_1S[level]];
        values[AT_INTEGRATED_OFI_1S] = total / s->ofi_scale;
    }
    if (s->added_sum + s->removed_sum && !s->without_changes)
        values[AT_REMOVAL_RATIO_1S] = true_divide(s->removed_sum, s->added_sum + s->removed_sum);
}

static inline double depth_10bps(const double *values)
{
    return values[AT_BID_DEPTH_10BPS] + values[AT_ASK_DEPTH_10BPS];
}

static double past_sum(const state *s, int what)
{
    double total = 0.0;
    for (i64 i = 0; i < s->past_counts[what]; i++)
        total += s->past[what][i];
    return total;
}

static double z_of(const state *s, double now)
{
    double count = (double)s->past_counts[PAST_L1], mean = past_sum(s, PAST_L1) / count, squares = 0.0;
    for (i64 i = 0; i < s->past_counts[PAST_L1]; i++) {
        double away = s->past[PAST_L1][i] - mean;
        squares += away * away;
    }
    double sd = sqrt(squares / (count - 1.0));
    return sd >= FLAT_SD ? (now - mean) / sd : NAN;
}

static void past_factors(const state *s, double *values)
{
    double depth = depth_10bps(values);
    if (s->past_counts[PAST_L5] >= LEAST_EVENTS)
        values[AT_OBI_CHANGE_RATE] = values[AT_OBI_L5] - past_sum(s, PAST_L5) / (double)s->past_counts[PAST_L5];
    if (s->past_counts[PAST_L1] >= Z_EVENTS)
        values[AT_OBI_L1_Z] = z_of(s, values[AT_OBI_L1]);
    if (s->past_counts[PAST_DEPTH] >= Z_EVENTS && depth > 0.0) {
        double mean = past_sum(s, PAST_DEPTH) / (double)s->past_counts[PAST_DEPTH];
        if (mean > 0.0)
            values[AT_LIQUIDITY_SHIFT] = log(depth / mean);
    }
}

static void remember(state *s, int what, double value)
{
    i64 count = s->past_counts[what];
    if (count == PAST_EVENTS[what]) {
        memmove(s->past[what], s->past[what] + 1, (size_t)(--count) * sizeof(double));
    }
    s->past[what][count] = value;
    s->past_counts[what] = count + 1;
}

static void add_event(state *s, const double *values)
{
    if (isnan(values[AT_OBI_L1]))
        return;
    remember(s, PAST_L1, values[AT_OBI_L1]);
    remember(s, PAST_L5, values[AT_OBI_L5]);
    remember(s, PAST_DEPTH, depth_10bps(values));
}
