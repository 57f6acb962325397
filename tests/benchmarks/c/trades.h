/* Trades in windows and buckets of volume, and bars of the mid: what ADR 0040 defines. */

#define SECONDS 0
#define QUARTERS 1
#define LONGEST (WINDOWS - 1)

static int read_trades(state *s, i64 mid2, const head *d, const i64 *numbers)
{
    i64 count = d->spans[5] - d->spans[4], farthest = mid2;
    i64 bought = 0, sold = 0, trades = 0, units = 0, pull = 0;
    for (i64 i = 0; i < count; i++) {
        i64 ticks = numbers[d->spans[4] + i], lots = numbers[d->spans[5] + i];
        if (!(ticks >= 0 && ticks < EXACT_KEY && magnitude(lots) <= MOST - bought - sold))
            return 0;
        bought += lots > 0 ? lots : 0;
        sold -= lots > 0 ? 0 : lots;
        trades += lots != 0;
        farthest = most(farthest, 2 * ticks);
        if (!fits(most(farthest, 1), bought + sold))
            return 0;
        units += lots * (s->is_inverse ? 1 : ticks);
        pull += lots * (2 * ticks - mid2);
    }
    if (!fits(pull, 20000) || most(magnitude(s->bar_traded[0] + units), magnitude(s->bar_traded[1] + units)) > MOST)
        return 0;
    i64 all = most(s->bought[LONGEST] + bought, s->sold[LONGEST] + sold);
    if (all > MOST || !fits(all, s->unit_num))
        return 0;
    s->new_bought = bought;
    s->new_sold = sold;
    s->new_trades = trades;
    s->new_units = units;
    s->new_paid = mid2 ? true_divide(20000 * pull, mid2) : NAN;
    return 1;
}

static inline i64 oldest_trade(const state *s, int w) { return (s->tape_next - s->tape_counts[w]) & (TAPE_MAX - 1); }

static void count_traded(state *s, int w, i64 at, i64 sign)
{
    s->tape_counts[w] += sign;
    s->bought[w] += sign * s->tape[at][1];
    s->sold[w] += sign * s->tape[at][2];
    s->trades[w] += sign * s->tape[at][3];
}

static void enter_traded(state *s, i64 received_ns)
{
    for (int w = 0; w < WINDOWS; w++)
        if (s->tape_counts[w] == TAPE_MAX) {
            s->tape_since[w] = s->tape[oldest_trade(s, w)][0];
            count_traded(s, w, oldest_trade(s, w), -1);
        }
    i64 at = s->tape_next;
    s->tape[at][0] = received_ns;
    s->tape[at][1] = s->new_bought;
    s->tape[at][2] = s->new_sold;
    s->tape[at][3] = s->new_trades;
    s->tape_paid[at] = s->new_paid;
    s->tape_next = (at + 1) & (TAPE_MAX - 1);
    for (int w = 0; w < WINDOWS; w++)
        count_traded(s, w, at, 1);
}

static void close_bucket(state *s, i64 gap)
{
    i64 at = s->bucket_next;
    s->bucket_sum += gap - s->bucket_gaps[at];
    s->bucket_gaps[at] = gap;
    s->bucket_next = (at + 1) % BUCKETS;
    s->bucket_count = least(s->bucket_count + 1, BUCKETS);
}

static void fill_buckets(state *s, i64 units)
{
    i64 left = magnitude(units), room = s->bucket_size - s->bucket_filled[0] - s->bucket_filled[1];
    int way = units > 0 ? 0 : 1;
    if (left >= room) {
        s->bucket_filled[way] += room;
        close_bucket(s, magnitude(s->bucket_filled[0] - s->bucket_filled[1]));
        s->bucket_filled[0] = s->bucket_filled[1] = 0;
        i64 whole = (left - room) / s->bucket_size;
        left -= room + whole * s->bucket_size;
        for (i64 i = 0; i < least(whole, BUCKETS); i++)
            close_bucket(s, s->bucket_size);
    }
    s->bucket_filled[way] += left;
}

static void take_trades(state *s, const head *d, const i64 *numbers)
{
    for (int w = 0; w < WINDOWS; w++)
        while (s->tape_counts[w] && s->tape[oldest_trade(s, w)][0] <= d->received_ns - SPANS_NS[w])
            count_traded(s, w, oldest_trade(s, w), -1);
    if (s->new_trades)
        enter_traded(s, d->received_ns);
    for (i64 i = 0; s->bucket_size && i < d->spans[5] - d->spans[4]; i++) {
        i64 ticks = numbers[d->spans[4] + i], lots = numbers[d->spans[5] + i];
        if (lots)
            fill_buckets(s, lots * (s->is_inverse ? 1 : ticks));
    }
}

static double paid(const state *s)
{
    double total = 0.0;
    for (i64 i = 0; i < s->tape_counts[0]; i++)
        total += s->tape_paid[(s->tape_next - s->tape_counts[0] + i) & (TAPE_MAX - 1)];
    return total;
}

static void trade_factors(const state *s, i64 now, i64 received_ns, double *values)
{
    for (int w = 0; w < WINDOWS; w++) {
        if (received_ns - s->tape_since[w] < SPANS_NS[w])
            continue;
        values[AT_TRADE_BUY[w]] = quote_flow(s, now, s->bought[w]);
        values[AT_TRADE_SELL[w]] = quote_flow(s, now, s->sold[w]);
        values[AT_TRADE_COUNT[w]] = (double)s->trades[w];
        values[AT_TRADE_FLOW[w]] = ratio(s->bought[w], s->sold[w]);
        if (w == 0 && s->tape_counts[0])
            values[AT_EFFECTIVE_SPREAD_BPS_1S] = paid(s) / (double)(s->bought[w] + s->sold[w]);
    }
    if (s->bucket_count == BUCKETS)
        values[AT_VPIN_EXACT] = true_divide(s->bucket_sum, BUCKETS * s->bucket_size);
}

static double volatility(const state *s, int length, double seconds)
{
    double squares = 0.0;
    if (s->bar_counts[length] < KEEP[length])
        return NAN;
    for (i64 i = 0; i < KEEP[length]; i++)
        squares += s->bar_returns[length][i] * s->bar_returns[length][i];
    return sqrt(squares / seconds);
}

static double bipower(const state *s)
{
    double products = 0.0;
    if (s->bar_counts[SECONDS] < KEEP[SECONDS])
        return NAN;
    for (i64 i = 1; i < KEEP[SECONDS]; i++)
        products += fabs(s->bar_returns[SECONDS][i]) * fabs(s->bar_returns[SECONDS][i - 1]);
    return sqrt(HALF_PI * products / 59.0);
}

static double kyle_lambda(const state *s)
{
    i64 count = s->bar_counts[SECONDS];
    double flows = 0.0, returns = 0.0, spread = 0.0, shared = 0.0;
    if (count < LEAST_BARS)
        return NAN;
    for (i64 i = 0; i < count; i++) {
        flows += notional_of(s, s->bar_flows[SECONDS][i]);
        returns += s->bar_returns[SECONDS][i];
    }
    double mean_flow = flows / (double)count, mean_return = returns / (double)count;
    for (i64 i = 0; i < count; i++) {
        double away = notional_of(s, s->bar_flows[SECONDS][i]) - mean_flow;
        spread += away * away;
        shared += away * (s->bar_returns[SECONDS][i] - mean_return);
    }
    return spread != 0.0 ? 1e6 * (shared / spread) : NAN;
}

static void append_bar(state *s, int length, double change, i64 flow)
{
    i64 count = s->bar_counts[length];
    if (count == KEEP[length]) {
        count--;
        memmove(s->bar_returns[length], s->bar_returns[length] + 1, (size_t)count * sizeof(double));
        memmove(s->bar_flows[length], s->bar_flows[length] + 1, (size_t)count * sizeof(i64));
    }
    s->bar_returns[length][count] = change;
    s->bar_flows[length][count] = flow;
    s->bar_counts[length] = count + 1;
}

static void close_bar(state *s, int length)
{
    i64 mid = s->bar_mid, last = s->bar_last[length];
    if (last != -1)
        append_bar(s, length, mid && last ? 10000.0 * log1p(true_divide(mid - last, last)) : NAN,
                   s->bar_traded[length]);
    s->bar_last[length] = mid;
    s->bar_traded[length] = 0;
}

static void add_to_bars(state *s, i64 received_ns, i64 mid2)
{
    for (int length = 0; length < 2; length++) {
        i64 bar = (received_ns + STEPS_NS[length] - 1) / STEPS_NS[length];
        if (bar > s->bar_open[length]) {
            for (i64 i = least(bar - s->bar_open[length], KEEP[length] + 1); i > 0; i--)
                close_bar(s, length);
            s->bar_open[length] = bar;
            if (length == QUARTERS) {
                s->bar_factors[0] = volatility(s, QUARTERS, 5.0);
            } else {
                s->bar_factors[1] = volatility(s, SECONDS, 60.0);
                s->bar_factors[2] = bipower(s);
                s->bar_factors[3] = kyle_lambda(s);
            }
        }
        s->bar_traded[length] += s->new_units;
    }
    s->bar_mid = mid2;
}

static void bar_factors(const state *s, double *values)
{
    values[AT_RV_5S] = s->bar_factors[0];
    values[AT_RV_60S] = s->bar_factors[1];
    values[AT_BIPOWER_60S] = s->bar_factors[2];
    values[AT_KYLE_LAMBDA_60S] = s->bar_factors[3];
}
