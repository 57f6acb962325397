/* Exact arithmetic, the best 20 levels, and what is read of them alone: quotes and imbalances. */
#include <math.h>

#define MOST (1LL << 61)
#define EXACT (1LL << 53)
#define EXACT_KEY (1LL << 60)
#define EVERY (1LL << 40)
#define BID 0
#define ASK 1
#define ALL 0
#define UP_TO_LIMIT 1
#define UP_TO_WORST 2
#define LEAST_LEVELS 3

static inline int fits(i64 a, i64 b) { return fabs((double)a * (double)b) < 2305843009213693952.0; }

static double divide_rounded(i64 numerator, i64 denominator)
{
    i64 quotient = numerator / denominator, rest = numerator % denominator, shift = 0;
    while (quotient >> 55 == 0 && shift < 120) {
        rest <<= 1;
        quotient <<= 1;
        if (rest >= denominator) {
            rest -= denominator;
            quotient |= 1;
        }
        shift++;
    }
    return ldexp((double)(quotient | (rest != 0)), (int)-shift);
}

static inline double true_divide(i64 numerator, i64 denominator)
{
    if (numerator >= -EXACT && numerator <= EXACT && denominator <= EXACT)
        return (double)numerator / (double)denominator;
    return numerator < 0 ? -divide_rounded(-numerator, denominator) : divide_rounded(numerator, denominator);
}

static inline double ratio(i64 bid, i64 ask) { return bid + ask ? true_divide(bid - ask, bid + ask) : NAN; }
static inline double price_of(const state *s, i64 ticks) { return true_divide(ticks * s->price_num, s->price_den); }
static inline double size_of(const state *s, i64 lots) { return true_divide(lots * s->unit_num, s->unit_den); }

static inline double to_base(const state *s, double sum)
{
    return s->is_inverse ? sum : sum * s->unit_num_float / s->unit_den_float;
}

static inline double notional_of(const state *s, i64 total)
{
    return (double)total * s->notional_num / s->notional_den;
}

static inline i64 tops_known(const state *s, i64 which, int n)
{
    return s->reach[n] == ALL ? EVERY : s->top_counts[which][n];
}

static int take_top(state *s, const side *levels, i64 which, int n)
{
    const ladder *l = levels->at;
    int is_limited = s->reach[n] == UP_TO_LIMIT;
    i64 taken = 0;
    s->levels_known[n] = is_limited ? l->known : l->levels;
    if (is_limited)
        s->limits[n] = l->limit;
    else if (s->reach[n] == UP_TO_WORST && l->levels)
        s->limits[n] = worst_key(levels);
    for (i64 at = l->first_block; at <= l->last_block && taken < TOP; at++)
        for (u64 bits = (u64)l->bits[at]; bits && taken < TOP; bits &= bits - 1, taken++) {
            i64 offset = (at << BITS) + first_place((i64)bits);
            s->ticks[which][n][taken] = magnitude(l->base + offset);
            s->lots[which][n][taken] = l->lots[offset];
        }
    for (i64 place = 0; place < l->pages && taken < TOP; place++) {
        const leaf *page = &levels->pages[levels->order[place]];
        i64 count = least(page->count, TOP - taken);
        for (i64 at = 0; at < count; at++, taken++) {
            s->ticks[which][n][taken] = magnitude(page->keys[at]);
            s->lots[which][n][taken] = page->lots[at];
        }
    }
    if (is_limited)
        taken = least(taken, s->levels_known[n]);
    s->top_counts[which][n] = taken;
    for (i64 i = 0; i < taken; i++) {
        i64 ticks = s->ticks[which][n][i], lots = s->lots[which][n][i];
        if (s->is_inverse && !(fits(lots, s->unit_num) && fits(ticks, s->price_num) && ticks))
            return 0;
        s->sizes[which][n][i] = s->is_inverse ? size_of(s, lots) / price_of(s, ticks) : (double)lots;
    }
    return 1;
}

static inline int is_open(const state *s, i64 which)
{
    return least(s->top_counts[which][BID], s->top_counts[which][ASK]) > 0
        && s->ticks[which][BID][0] < s->ticks[which][ASK][0];
}

static inline i64 mid2_of(const state *s, i64 which)
{
    return is_open(s, which) ? s->ticks[which][BID][0] + s->ticks[which][ASK][0] : 0;
}

static double top_notional(const state *s, i64 which)
{
    i64 total = 0;
    for (int n = BID; n <= ASK; n++) {
        i64 lots = 0;
        for (i64 i = 0; i < least(10, s->top_counts[which][n]); i++) {
            i64 ticks = s->ticks[which][n][i];
            lots += s->lots[which][n][i];
            total = plus_product(total, s->lots[which][n][i], s->is_inverse ? 1 : ticks);
            if (!fits(4 * most(ticks, s->ticks[which][n][0]), lots))
                return NAN;
        }
    }
    return notional_of(s, total);
}

static int known_bps(const state *s, int n, i64 sum_ticks, double *values)
{
    if (s->reach[n] == ALL)
        return 1;
    i64 limit = magnitude(s->limits[n]), away = n == BID ? sum_ticks - 2 * limit : 2 * limit - sum_ticks;
    if (!fits(away, 10000))
        return 0;
    values[n == BID ? AT_BID_KNOWN_BPS : AT_ASK_KNOWN_BPS] = true_divide(10000 * away, sum_ticks);
    return 1;
}

static int quote_factors(const state *s, i64 which, double *values)
{
    i64 bid = s->ticks[which][BID][0], ask = s->ticks[which][ASK][0];
    i64 bid_lots = s->lots[which][BID][0], ask_lots = s->lots[which][ASK][0];
    double bid_size = s->sizes[which][BID][0], ask_size = s->sizes[which][ASK][0];
    if (!(fits(bid + ask, s->price_num) && fits(ask - bid, 20000)))
        return 0;
    if (!(fits(bid_lots, s->unit_num) && fits(ask_lots, s->unit_num)))
        return 0;
    values[AT_BEST_BID] = price_of(s, bid);
    values[AT_BEST_ASK] = price_of(s, ask);
    values[AT_BEST_BID_SIZE] = s->is_inverse ? bid_size : size_of(s, bid_lots);
    values[AT_BEST_ASK_SIZE] = s->is_inverse ? ask_size : size_of(s, ask_lots);
    values[AT_MID] = true_divide((bid + ask) * s->price_num, 2 * s->price_den);
    values[AT_SPREAD] = price_of(s, ask - bid);
    values[AT_SPREAD_BPS] = true_divide(20000 * (ask - bid), bid + ask);
    values[AT_BID_LEVELS] = (double)s->levels_known[BID];
    values[AT_ASK_LEVELS] = (double)s->levels_known[ASK];
    double ticks = (double)bid + (double)(ask - bid) * (bid_size / (bid_size + ask_size));
    double middle = bid_size + ask_size == 0.0 ? NAN : ticks * s->price_num_float / s->price_den_float;
    values[AT_WEIGHTED_MID] = middle;
    if (tops_known(s, which, BID) && tops_known(s, which, ASK))
        values[AT_WEIGHTED_MID_ADJUSTED] = middle + 0.5 * ratio(bid_lots, ask_lots) * price_of(s, ask - bid) / 2;
    return known_bps(s, BID, bid + ask, values) && known_bps(s, ASK, bid + ask, values);
}

static inline i64 lots_of(const state *s, i64 which, int n, i64 levels)
{
    i64 total = 0;
    for (i64 i = 0; i < least(levels, s->top_counts[which][n]); i++)
        total += s->lots[which][n][i];
    return total;
}

static inline double obi(const state *s, i64 which, i64 levels)
{
    return ratio(lots_of(s, which, BID, levels), lots_of(s, which, ASK, levels));
}

static inline double balance(double bid, double ask) { return bid + ask != 0.0 ? (bid - ask) / (bid + ask) : NAN; }

static void measure_gaps(state *s, i64 which)
{
    i64 sum = s->ticks[which][BID][0] + s->ticks[which][ASK][0];
    for (i64 i = 0; i < s->top_counts[which][BID]; i++)
        s->gaps[BID][i] = true_divide(sum - 2 * s->ticks[which][BID][i], sum);
    for (i64 i = 0; i < s->top_counts[which][ASK]; i++)
        s->gaps[ASK][i] = true_divide(2 * s->ticks[which][ASK][i] - sum, sum);
}

static double size_sum(const state *s, i64 which, int n, double total)
{
    for (i64 i = 0; i < least(10, s->top_counts[which][n]); i++)
        total += s->sizes[which][n][i];
    return total;
}

static void volumes(const state *s, i64 which, double *values)
{
    int bids_known = tops_known(s, which, BID) >= 10, asks_known = tops_known(s, which, ASK) >= 10;
    double bids = size_sum(s, which, BID, 0.0), asks = size_sum(s, which, ASK, 0.0);
    if (bids_known)
        values[AT_BID_VOLUME_L10] = to_base(s, bids);
    if (asks_known)
        values[AT_ASK_VOLUME_L10] = to_base(s, asks);
    if (bids_known && asks_known && asks != 0.0)
        values[AT_BID_ASK_RATIO] = bids / asks;
}

static void weighted_factors(const state *s, i64 which, double *values)
{
    double by_level[2] = {0.0}, by_half[2] = {0.0}, by_gap[2] = {0.0};
    for (int n = BID; n <= ASK; n++)
        for (i64 i = 0; i < least(10, s->top_counts[which][n]); i++) {
            double size = s->sizes[which][n][i], gap = s->gaps[n][i];
            by_level[n] += LEVEL_WEIGHTS[i] / (1.0 + gap) * size;
            by_half[n] += HALVING_WEIGHTS[i] * size;
            by_gap[n] += gap * size;
        }
    values[AT_OBI_WEIGHTED] = balance(by_level[BID], by_level[ASK]);
    values[AT_MICRO_PRICE_IMB] = balance(by_half[BID], by_half[ASK]);
    if (by_gap[ASK] != 0.0)
        values[AT_PRESSURE_SCORE] = by_gap[BID] / by_gap[ASK];
    double all = size_sum(s, which, ASK, size_sum(s, which, BID, 0.0));
    if (all != 0.0)
        values[AT_OBI_VWAP] = (by_gap[ASK] - by_gap[BID]) / all;
}

static double obi_decay(const state *s, i64 which)
{
    double best = s->gaps[BID][0], sums[2] = {0.0};
    for (int n = BID; n <= ASK; n++)
        for (i64 i = 0; i < s->top_counts[which][n]; i++)
            sums[n] += exp(-10000.0 * (s->gaps[n][i] - best) / 5.0) * s->sizes[which][n][i];
    return balance(sums[BID], sums[ASK]);
}

static double level_notional(const state *s, i64 which, int n, i64 i)
{
    double lots = (double)s->lots[which][n][i];
    return s->is_inverse ? lots : (double)s->ticks[which][n][i] * lots;
}

static double concentration(const state *s, i64 which, int n)
{
    i64 count = s->top_counts[which][n];
    double whole = 0.0, squares = 0.0;
    for (i64 i = 0; i < count; i++)
        whole += level_notional(s, which, n, i);
    if (count < LEAST_LEVELS || whole == 0.0)
        return NAN;
    for (i64 i = 0; i < count; i++) {
        double share = level_notional(s, which, n, i) / whole;
        squares += share * share;
    }
    return squares;
}

static void size_factors(const state *s, i64 which, double *values)
{
    i64 bids = s->top_counts[which][BID], asks = s->top_counts[which][ASK];
    double total = 0.0, squares = 0.0;
    if (least(bids, asks) < LEAST_LEVELS)
        return;
    for (int n = BID; n <= ASK; n++)
        for (i64 i = 0; i < s->top_counts[which][n]; i++)
            total += s->sizes[which][n][i];
    double mean = total / (double)(bids + asks);
    for (int n = BID; n <= ASK; n++)
        for (i64 i = 0; i < s->top_counts[which][n]; i++) {
            double away = s->sizes[which][n][i] - mean;
            squares += away * away;
        }
    double spread = sqrt(squares / (double)(bids + asks - 1));
    values[AT_SIZE_DISPERSION] = to_base(s, spread);
    if (mean != 0.0)
        values[AT_SIZE_CV] = spread / mean;
}

static void imbalance_factors(state *s, i64 which, double *values)
{
    i64 known = least(tops_known(s, which, BID), tops_known(s, which, ASK));
    measure_gaps(s, which);
    if (known >= 1)
        values[AT_OBI_L1] = obi(s, which, 1);
    if (known >= 3)
        values[AT_OBI_L3] = obi(s, which, 3);
    if (known >= 5)
        values[AT_OBI_L5] = obi(s, which, 5);
    volumes(s, which, values);
    if (known >= 10) {
        values[AT_OBI_L10] = obi(s, which, 10);
        weighted_factors(s, which, values);
    }
    if (tops_known(s, which, BID) >= TOP)
        values[AT_HHI_BID_L20] = concentration(s, which, BID);
    if (tops_known(s, which, ASK) >= TOP)
        values[AT_HHI_ASK_L20] = concentration(s, which, ASK);
    if (known >= 20) {
        values[AT_OBI_L20] = obi(s, which, 20);
        values[AT_OBI_DECAY_BPS] = obi_decay(s, which);
        size_factors(s, which, values);
    }
}
