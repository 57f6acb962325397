/* One side of a book: a window of ticks around the best as an array with a bit a level, sorted pages beyond it.
 *
 * The same structure as orderbook/kernel, in the same memory: nothing of a level is skipped, however far it lies.
 */
#include <stdlib.h>

#define BLOCKS 1024
#define PLACES 64
#define BITS 6
#define WITHIN (PLACES - 1)
#define PAGE 32
#define FILL 22
#define BEYOND_KEYS INT64_MAX
#define NO_ROOM (-1)

typedef struct {
    ladder *at;
    leaf *pages;
    i64 *order, *firsts, *free;
    i64 room;
} side;

static inline i64 least(i64 a, i64 b) { return a < b ? a : b; }
static inline i64 most(i64 a, i64 b) { return a > b ? a : b; }
static inline i64 magnitude(i64 a) { return a < 0 ? -a : a; }

/* Modulo 2^64, where C leaves the overflow of signed integers undefined. */
static inline i64 plus_product(i64 sum, i64 a, i64 b) { return (i64)((u64)sum + (u64)a * (u64)b); }

static inline i64 first_place(i64 bits) { return __builtin_ctzll((u64)bits); }

static inline void count_change(ladder *l, i64 key, i64 lots, i64 old)
{
    l->all_lots += lots - old;
    i64 levels = (lots ? 1 : 0) - (old ? 1 : 0);
    l->levels += levels;
    if (key <= l->limit)
        l->known += levels;
}

static void leave_block(ladder *l)
{
    i64 first = l->first_block, last = l->last_block;
    while (first <= last && l->bits[first] == 0)
        first++;
    while (last > first && l->bits[last] == 0)
        last--;
    l->first_block = first > last ? BLOCKS : first;
    l->last_block = first > last ? -1 : last;
}

static inline i64 set_in_ladder(ladder *l, i64 key, i64 lots)
{
    i64 offset = key - l->base, number = offset >> BITS, old = l->lots[offset];
    if (lots == old)
        return old;
    l->lots[offset] = lots;
    l->lots_sums[number] += lots - old;
    l->notional_sums[number] = plus_product(l->notional_sums[number], magnitude(key), lots - old);
    i64 bit = (i64)(1ULL << (offset & WITHIN));
    if (old == 0) {
        l->bits[number] |= bit;
        l->first_block = least(number, l->first_block);
        l->last_block = most(number, l->last_block);
    } else if (lots == 0) {
        l->bits[number] ^= bit;
        if (l->bits[number] == 0)
            leave_block(l);
    }
    count_change(l, key, lots, old);
    return old;
}

static void clear_ladder(ladder *l)
{
    for (i64 number = l->first_block; number <= l->last_block; number++) {
        l->bits[number] = l->lots_sums[number] = l->notional_sums[number] = 0;
        for (i64 offset = number << BITS; offset < (number + 1) << BITS; offset++)
            l->lots[offset] = 0;
    }
    l->first_block = BLOCKS;
    l->last_block = -1;
    l->width = 0;
}

static void clear_pages(side *s)
{
    for (i64 number = 0; number < s->room; number++)
        s->free[number] = number;
    s->at->free_pages = s->room;
    s->at->pages = s->at->levels = s->at->known = s->at->all_lots = s->at->last = 0;
}

static inline void count_in_page(leaf *page, ladder *l, i64 key, i64 lots, i64 old)
{
    page->lots_sum += lots - old;
    page->notional_sum = plus_product(page->notional_sum, magnitude(key), lots - old);
    count_change(l, key, lots, old);
}

static i64 take_page(side *s, i64 place, i64 first)
{
    ladder *l = s->at;
    i64 number = s->free[--l->free_pages];
    for (i64 i = l->pages; i > place; i--) {
        s->order[i] = s->order[i - 1];
        s->firsts[i] = s->firsts[i - 1];
    }
    s->order[place] = number;
    s->firsts[place] = first;
    l->pages++;
    leaf *page = &s->pages[number];
    page->count = page->lots_sum = page->notional_sum = 0;
    for (i64 i = 0; i < PAGE; i++)
        page->keys[i] = BEYOND_KEYS;
    return number;
}

static void give_page(side *s, i64 place)
{
    ladder *l = s->at;
    s->free[l->free_pages++] = s->order[place];
    l->pages--;
    for (i64 i = place; i < l->pages; i++) {
        s->order[i] = s->order[i + 1];
        s->firsts[i] = s->firsts[i + 1];
    }
}

static i64 place_of(side *s, i64 key)
{
    ladder *l = s->at;
    i64 pages = l->pages, last = l->last;
    if (pages == 1 || s->firsts[1] > key)
        return 0;
    if (last < pages && s->firsts[last] <= key && (last + 1 == pages || key < s->firsts[last + 1]))
        return last;
    i64 low = 1, high = pages;
    while (high - low > 1) {
        i64 middle = (low + high) >> 1;
        if (s->firsts[middle] <= key)
            low = middle;
        else
            high = middle;
    }
    l->last = low;
    return low;
}

static void insert(side *s, leaf *page, i64 place, i64 at, i64 key, i64 lots)
{
    for (i64 i = page->count; i > at; i--) {
        page->keys[i] = page->keys[i - 1];
        page->lots[i] = page->lots[i - 1];
    }
    page->keys[at] = key;
    page->lots[at] = lots;
    page->count++;
    if (at == 0)
        s->firsts[place] = key;
}

static void remove_level(side *s, leaf *page, i64 place, i64 at)
{
    page->count--;
    for (i64 i = at; i < page->count; i++) {
        page->keys[i] = page->keys[i + 1];
        page->lots[i] = page->lots[i + 1];
    }
    page->keys[page->count] = BEYOND_KEYS;
    if (page->count == 0)
        give_page(s, place);
    else if (at == 0)
        s->firsts[place] = page->keys[0];
}

static void split(side *s, i64 place)
{
    i64 half = PAGE / 2;
    leaf *page = &s->pages[s->order[place]];
    leaf *other = &s->pages[take_page(s, place + 1, page->keys[half])];
    for (i64 i = 0; i < half; i++) {
        i64 key = page->keys[half + i], lots = page->lots[half + i];
        page->keys[half + i] = BEYOND_KEYS;
        other->keys[i] = key;
        other->lots[i] = lots;
        other->lots_sum += lots;
        other->notional_sum = plus_product(other->notional_sum, magnitude(key), lots);
    }
    page->lots_sum -= other->lots_sum;
    page->notional_sum = plus_product(page->notional_sum, -1, other->notional_sum);
    page->count = other->count = half;
}

static i64 set_in_pages(side *s, i64 key, i64 lots)
{
    ladder *l = s->at;
    if (l->pages == 0) {
        if (lots) {
            leaf *page = &s->pages[take_page(s, 0, key)];
            insert(s, page, 0, 0, key, lots);
            count_in_page(page, l, key, lots, 0);
        }
        return 0;
    }
    i64 place = place_of(s, key), at = 0;
    leaf *page = &s->pages[s->order[place]];
    for (i64 i = 0; i < PAGE; i++)
        at += page->keys[i] < key;
    if (at < page->count && page->keys[at] == key) {
        i64 old = page->lots[at];
        page->lots[at] = lots;
        count_in_page(page, l, key, lots, old);
        if (!lots)
            remove_level(s, page, place, at);
        return old;
    }
    if (!lots)
        return 0;
    if (page->count == PAGE) {
        if (l->free_pages == 0)
            return NO_ROOM;
        split(s, place);
        if (at > PAGE / 2) {
            page = &s->pages[s->order[++place]];
            at -= PAGE / 2;
        }
    }
    insert(s, page, place, at, key, lots);
    count_in_page(page, l, key, lots, 0);
    return 0;
}

static inline int is_on_ladder(const ladder *l, i64 key) { return key >= l->base && key - l->base < l->width; }

static void write_levels(side *s, const i64 *keys, const i64 *lots, i64 count, i64 best)
{
    i64 width = BLOCKS * PLACES, inside = 0, base = best - width / 8;
    while (inside < count && keys[inside] < base + width)
        inside++;
    if (2 * inside < count)
        width = inside = 0;
    s->at->base = base;
    s->at->width = width;
    for (i64 i = 0; i < inside; i++)
        set_in_ladder(s->at, keys[i], lots[i]);
    for (i64 start = inside; start < count; start += FILL) {
        leaf *page = &s->pages[take_page(s, s->at->pages, keys[start])];
        for (i64 i = start; i < least(start + FILL, count); i++) {
            page->keys[page->count] = keys[i];
            page->lots[page->count++] = lots[i];
            count_in_page(page, s->at, keys[i], lots[i], 0);
        }
    }
}

static i64 copy_levels(const side *s, i64 *keys, i64 *lots)
{
    i64 count = 0;
    for (i64 number = s->at->first_block; number <= s->at->last_block; number++)
        for (u64 bits = (u64)s->at->bits[number]; bits; bits &= bits - 1, count++) {
            i64 offset = (number << BITS) + first_place((i64)bits);
            keys[count] = s->at->base + offset;
            lots[count] = s->at->lots[offset];
        }
    for (i64 place = 0; place < s->at->pages; place++) {
        const leaf *page = &s->pages[s->order[place]];
        for (i64 i = 0; i < page->count; i++, count++) {
            keys[count] = page->keys[i];
            lots[count] = page->lots[i];
        }
    }
    return count;
}

static int centre(side *s, i64 best)
{
    i64 count = s->at->levels;
    if (count > FILL * (s->room - 1))
        return 0;
    i64 *keys = malloc((size_t)(count + 1) * sizeof *keys), *lots = malloc((size_t)(count + 1) * sizeof *lots);
    copy_levels(s, keys, lots);
    clear_ladder(s->at);
    clear_pages(s);
    write_levels(s, keys, lots, count, best);
    free(keys);
    free(lots);
    return 1;
}

static i64 set_level(side *s, i64 key, i64 lots)
{
    if (s->at->width && lots && key < s->at->base) {
        if (!centre(s, key))
            return NO_ROOM;
        if (s->at->width)
            return set_in_ladder(s->at, key, lots);
    }
    return set_in_pages(s, key, lots);
}

static inline void keep_centred(side *s)
{
    ladder *l = s->at;
    if (l->width && l->first_block * 2 > BLOCKS && l->levels)
        centre(s, l->first_block < BLOCKS ? l->base + l->first_block * PLACES : s->pages[s->order[0]].keys[0]);
}

static i64 worst_key(const side *s)
{
    if (s->at->pages) {
        const leaf *page = &s->pages[s->order[s->at->pages - 1]];
        return page->keys[page->count - 1];
    }
    i64 offset = (s->at->last_block << BITS) + WITHIN;
    while (s->at->lots[offset] == 0)
        offset--;
    return s->at->base + offset;
}
