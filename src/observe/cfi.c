/* cfi.c - see cfi.h.
 *
 *   .eh_frame_hdr   sorted pairs (function, its FDE)         table_find: the FDE that covers an address
 *   CIE, FDE        what functions share, and each one's     read_entry
 *   instructions    a row of rules that changes with pc      run: the row at pc
 *   the row         the caller's registers                   apply
 *
 * Only what compilers and libc emit is understood; anything else is CFI_NONE, and the caller has another way. */
#include "observe/cfi.h"

#include "os/os.h"

#include <string.h>

#define SAVED_ROWS 4   /* remember_state, nested */
#define STACK_WORDS 16 /* of expressions */
#define PAGE_MASK (~(uintptr_t)4095)

/* ---- Reading ------------------------------------------------------------------------------------- */

/* It may read what the address sanitizer keeps between variables. */
__attribute__((no_sanitize("address"))) bool frame_read(struct frame *frame, uintptr_t address,
                                                        uintptr_t *word)
{
    if (address == 0 || address % sizeof *word != 0)
        return false;
    if ((address & PAGE_MASK) != frame->checked) {
        if (!os_readable((const void *)address))
            return false;
        frame->checked = address & PAGE_MASK;
    }
    *word = *(const uintptr_t *)address;
    return true;
}

/* Bytes of a table, from `at` to `end`; `failed` once something was not there or not understood. */
struct reader {
    const uint8_t *at, *end;
    bool failed;
};

static uint64_t read_bytes(struct reader *in, unsigned size)
{
    uint64_t value = 0;
    if ((size_t)(in->end - in->at) < size) {
        in->failed = true;
        in->at = in->end;
        return 0;
    }
    memcpy(&value, in->at, size); /* little endian, as all machines that cpu.h knows */
    in->at += size;
    return value;
}

static uint64_t read_unsigned(struct reader *in)
{
    uint64_t value = 0;
    for (unsigned shift = 0;; shift += 7) {
        uint64_t byte = read_bytes(in, 1);
        if (shift < 64)
            value |= (byte & 0x7f) << shift;
        if ((byte & 0x80) == 0)
            return value;
    }
}

static int64_t read_signed(struct reader *in)
{
    uint64_t value = 0, byte;
    unsigned shift = 0;
    do {
        byte = read_bytes(in, 1);
        if (shift < 64)
            value |= (byte & 0x7f) << shift;
        shift += 7;
    } while ((byte & 0x80) != 0);
    if ((byte & 0x40) != 0 && shift < 64)
        value |= ~UINT64_C(0) << shift;
    return (int64_t)value;
}

/* Encodings of pointers: the low half says how the value is stored, the high half what it is added to. */
enum { AS_POINTER = 0, AS_U2 = 2, AS_U4 = 3, AS_U8 = 4, AS_S2 = 10, AS_S4 = 11, AS_S8 = 12, OMITTED = 0xff };
enum { ABSOLUTE = 0x00, FROM_HERE = 0x10, FROM_TABLE = 0x30, INDIRECT = 0x80 };

static uintptr_t read_pointer(struct reader *in, uint8_t encoding, uintptr_t table)
{
    uintptr_t here = (uintptr_t)in->at, value;
    switch (encoding & 0x0f) {
    case AS_POINTER:
    case AS_U8:
    case AS_S8: value = read_bytes(in, 8); break;
    case AS_U2: value = read_bytes(in, 2); break;
    case AS_U4: value = read_bytes(in, 4); break;
    case AS_S2: value = (uintptr_t)(intptr_t)(int16_t)read_bytes(in, 2); break;
    case AS_S4: value = (uintptr_t)(intptr_t)(int32_t)read_bytes(in, 4); break;
    default: in->failed = true; return 0;
    }
    switch (encoding & 0x70) {
    case ABSOLUTE: return value;
    case FROM_HERE: return value + here;
    case FROM_TABLE: return value + table;
    default: in->failed = true; return 0;
    }
}

/* ---- From an address to its entry ---------------------------------------------------------------- */

/* Two encoded words for each function, relative to the table: what linkers write. */
struct table_row {
    int32_t function, entry;
};

/* The FDE of the last function at or below pc; NULL if the table has another form. */
static const uint8_t *table_find(const uint8_t *table, uintptr_t pc)
{
    enum { VERSION = 1, HEADER = 4 };
    struct reader in = {table + HEADER, table + 64, false};
    if (table[0] != VERSION || table[3] != (FROM_TABLE | AS_S4) || table[2] == OMITTED)
        return NULL;
    (void)read_pointer(&in, table[1], (uintptr_t)table);
    size_t count = read_pointer(&in, table[2], (uintptr_t)table);
    const struct table_row *rows = (const struct table_row *)(const void *)in.at;
    size_t low = 0, high = count;
    while (!in.failed && low < high) {
        size_t middle = low + (high - low) / 2;
        if ((uintptr_t)table + (uintptr_t)(intptr_t)rows[middle].function <= pc)
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 && !in.failed ? table + rows[low - 1].entry : NULL;
}

/* A CIE with its FDE: what says how one function's frames look. */
struct entry {
    struct reader common, own; /* instructions of the CIE, of the FDE */
    uint64_t code_unit;
    int64_t data_unit;
    uintptr_t function, size;
    unsigned return_register;
    uint8_t encoding;
    bool is_signal;
};

/* The bytes of the record at `at`, behind its length. */
static struct reader record(const uint8_t *at)
{
    uint32_t length;
    memcpy(&length, at, sizeof length);
    bool bad = length == 0 || length >= UINT32_C(0xfffffff0); /* the end; 64-bit form, which nobody writes */
    return (struct reader){at + sizeof length, at + sizeof length + (bad ? 0 : length), bad};
}

static bool read_common(struct entry *entry, const uint8_t *at, bool *has_data)
{
    struct reader in = record(at);
    if (read_bytes(&in, 4) != 0 || in.failed)
        return false;
    uint64_t version = read_bytes(&in, 1);
    const char *letter = (const char *)in.at;
    while (read_bytes(&in, 1) != 0 && !in.failed)
        ;
    entry->code_unit = read_unsigned(&in);
    entry->data_unit = read_signed(&in);
    entry->return_register = (unsigned)(version == 1 ? read_bytes(&in, 1) : read_unsigned(&in));
    entry->encoding = AS_POINTER;
    *has_data = *letter == 'z';
    const uint8_t *instructions = in.at;
    if (*has_data) {
        uint64_t size = read_unsigned(&in);
        if (size > (size_t)(in.end - in.at))
            return false;
        instructions = in.at + size;
        letter++;
    }
    for (; *letter != 0 && !in.failed; letter++) {
        if (*letter == 'R')
            entry->encoding = (uint8_t)read_bytes(&in, 1);
        else if (*letter == 'P')
            (void)read_pointer(&in, (uint8_t)read_bytes(&in, 1) & 0x7f, 0);
        else if (*letter == 'L')
            (void)read_bytes(&in, 1);
        else if (*letter == 'S')
            entry->is_signal = true;
        else
            return false;
    }
    entry->common = (struct reader){instructions, in.end, false};
    return !in.failed;
}

static bool read_entry(struct entry *entry, const uint8_t *at)
{
    struct reader in = record(at);
    bool has_data;
    const uint8_t *here = in.at;
    *entry = (struct entry){.is_signal = false};
    uint64_t back = read_bytes(&in, 4);
    if (in.failed || back == 0 || !read_common(entry, here - back, &has_data))
        return false;
    entry->function = read_pointer(&in, entry->encoding & 0x7f, 0);
    entry->size = read_pointer(&in, entry->encoding & 0x0f, 0);
    if (has_data) {
        uint64_t size = read_unsigned(&in);
        if (size > (size_t)(in.end - in.at))
            return false;
        in.at += size;
    }
    entry->own = in;
    return !in.failed && entry->code_unit > 0 && entry->return_register < CPU_REGISTERS;
}

/* ---- The row of rules at an address -------------------------------------------------------------- */

enum rule_kind { SAME, UNDEFINED, AT_OFFSET, IS_OFFSET, IN_REGISTER, AT_EXPRESSION, IS_EXPRESSION };

struct rule {
    uint8_t kind;
    int64_t value;             /* an offset from the frame's address, or a register */
    const uint8_t *expression; /* its length comes first */
};

struct row {
    struct rule address; /* IS_OFFSET of register `base`, or IS_EXPRESSION */
    unsigned base;
    struct rule registers[CPU_REGISTERS];
};

struct machine {
    struct row row, saved[SAVED_ROWS];
    struct row initial; /* after the CIE's instructions */
    unsigned depth;
    uintptr_t pc;
    bool is_bad;
};

static void set_rule(struct machine *m, uint64_t number, struct rule rule)
{
    if (number < CPU_REGISTERS) /* others are of no use to us */
        m->row.registers[number] = rule;
}

static struct rule read_expression(struct reader *in, enum rule_kind kind)
{
    struct rule rule = {(uint8_t)kind, 0, in->at};
    uint64_t size = read_unsigned(in);
    if (size > (size_t)(in->end - in->at))
        in->failed = true;
    else
        in->at += size;
    return rule;
}

static void set_address(struct machine *m, uint64_t base, int64_t offset)
{
    m->row.address = (struct rule){IS_OFFSET, offset, NULL};
    m->row.base = (unsigned)base;
    m->is_bad |= base >= CPU_REGISTERS;
}

static void remember(struct machine *m)
{
    if (m->depth < SAVED_ROWS)
        m->saved[m->depth++] = m->row;
    else
        m->is_bad = true;
}

static void recall(struct machine *m)
{
    if (m->depth > 0)
        m->row = m->saved[--m->depth];
    else
        m->is_bad = true;
}

/* The instructions whose whole first byte is their name. */
static void run_plain(struct machine *m, const struct entry *entry, struct reader *in, unsigned name)
{
    int64_t unit = entry->data_unit;
    uint64_t number;
    switch (name) {
    case 0x00: break; /* nop */
    case 0x01: m->pc = read_pointer(in, entry->encoding & 0x7f, 0); break;
    case 0x02: m->pc += read_bytes(in, 1) * entry->code_unit; break;
    case 0x03: m->pc += read_bytes(in, 2) * entry->code_unit; break;
    case 0x04: m->pc += read_bytes(in, 4) * entry->code_unit; break;
    case 0x05: /* offset_extended */
        number = read_unsigned(in);
        set_rule(m, number, (struct rule){AT_OFFSET, (int64_t)read_unsigned(in) * unit, NULL});
        break;
    case 0x06: /* restore_extended */
        number = read_unsigned(in);
        if (number < CPU_REGISTERS)
            m->row.registers[number] = m->initial.registers[number];
        break;
    case 0x07: set_rule(m, read_unsigned(in), (struct rule){UNDEFINED, 0, NULL}); break;
    case 0x08: set_rule(m, read_unsigned(in), (struct rule){SAME, 0, NULL}); break;
    case 0x09: /* register */
        number = read_unsigned(in);
        set_rule(m, number, (struct rule){IN_REGISTER, (int64_t)read_unsigned(in), NULL});
        break;
    case 0x0a: remember(m); break;
    case 0x0b: recall(m); break;
    case 0x0c: /* def_cfa */
        number = read_unsigned(in);
        set_address(m, number, (int64_t)read_unsigned(in));
        break;
    case 0x0d: set_address(m, read_unsigned(in), m->row.address.value); break;
    case 0x0e: set_address(m, m->row.base, (int64_t)read_unsigned(in)); break;
    case 0x0f: m->row.address = read_expression(in, IS_EXPRESSION); break;
    case 0x10: /* expression */
        number = read_unsigned(in);
        set_rule(m, number, read_expression(in, AT_EXPRESSION));
        break;
    case 0x11: /* offset_extended_sf */
        number = read_unsigned(in);
        set_rule(m, number, (struct rule){AT_OFFSET, read_signed(in) * unit, NULL});
        break;
    case 0x12: /* def_cfa_sf */
        number = read_unsigned(in);
        set_address(m, number, read_signed(in) * unit);
        break;
    case 0x13: set_address(m, m->row.base, read_signed(in) * unit); break;
    case 0x14: /* val_offset */
        number = read_unsigned(in);
        set_rule(m, number, (struct rule){IS_OFFSET, (int64_t)read_unsigned(in) * unit, NULL});
        break;
    case 0x15: /* val_offset_sf */
        number = read_unsigned(in);
        set_rule(m, number, (struct rule){IS_OFFSET, read_signed(in) * unit, NULL});
        break;
    case 0x16: /* val_expression */
        number = read_unsigned(in);
        set_rule(m, number, read_expression(in, IS_EXPRESSION));
        break;
    case 0x2e: (void)read_unsigned(in); break; /* GNU_args_size */
    default: m->is_bad = true;
    }
}

/* Runs until the row is the one for `pc`. */
static bool run(struct machine *m, const struct entry *entry, struct reader in, uintptr_t pc)
{
    enum { ADVANCE = 1, OFFSET = 2, RESTORE = 3 };
    while (in.at < in.end && m->pc <= pc && !m->is_bad && !in.failed) {
        unsigned byte = (unsigned)read_bytes(&in, 1), low = byte & 0x3f;
        switch (byte >> 6) {
        case ADVANCE: m->pc += low * entry->code_unit; break;
        case OFFSET:
            set_rule(m, low, (struct rule){AT_OFFSET, (int64_t)read_unsigned(&in) * entry->data_unit, NULL});
            break;
        case RESTORE:
            if (low < CPU_REGISTERS)
                m->row.registers[low] = m->initial.registers[low];
            break;
        default: run_plain(m, entry, &in, low);
        }
    }
    return !m->is_bad && !in.failed;
}

/* ---- From the row to the caller ------------------------------------------------------------------ */

struct operands {
    uintptr_t words[STACK_WORDS];
    unsigned depth;
    bool failed;
};

static void push(struct operands *stack, uintptr_t word)
{
    if (stack->depth < STACK_WORDS)
        stack->words[stack->depth++] = word;
    else
        stack->failed = true;
}

static uintptr_t pop(struct operands *stack)
{
    if (stack->depth > 0)
        return stack->words[--stack->depth];
    stack->failed = true;
    return 0;
}

static void compute(struct operands *stack, unsigned name)
{
    uintptr_t b = pop(stack), a = pop(stack);
    switch (name) {
    case 0x1a: push(stack, a & b); break;
    case 0x1c: push(stack, a - b); break;
    case 0x1e: push(stack, a * b); break;
    case 0x21: push(stack, a | b); break;
    case 0x22: push(stack, a + b); break;
    case 0x24: push(stack, b < 64 ? a << b : 0); break;
    case 0x25: push(stack, b < 64 ? a >> b : 0); break;
    case 0x27: push(stack, a ^ b); break;
    case 0x29: push(stack, a == b); break;
    case 0x2a: push(stack, (intptr_t)a >= (intptr_t)b); break;
    case 0x2b: push(stack, (intptr_t)a > (intptr_t)b); break;
    case 0x2c: push(stack, (intptr_t)a <= (intptr_t)b); break;
    case 0x2d: push(stack, (intptr_t)a < (intptr_t)b); break;
    case 0x2e: push(stack, a != b); break;
    default: stack->failed = true;
    }
}

static void constant(struct operands *stack, struct reader *in, unsigned name)
{
    switch (name) {
    case 0x08: push(stack, read_bytes(in, 1)); break;
    case 0x09: push(stack, (uintptr_t)(intptr_t)(int8_t)read_bytes(in, 1)); break;
    case 0x0a: push(stack, read_bytes(in, 2)); break;
    case 0x0b: push(stack, (uintptr_t)(intptr_t)(int16_t)read_bytes(in, 2)); break;
    case 0x0c: push(stack, read_bytes(in, 4)); break;
    case 0x0d: push(stack, (uintptr_t)(intptr_t)(int32_t)read_bytes(in, 4)); break;
    case 0x0e:
    case 0x0f: push(stack, read_bytes(in, 8)); break;
    case 0x10: push(stack, read_unsigned(in)); break;
    case 0x11: push(stack, (uintptr_t)read_signed(in)); break;
    default: stack->failed = true;
    }
}

/* A DWARF expression; `first` lies on its stack at the beginning if there is one. */
static bool evaluate(struct frame *frame, const uint8_t *expression, const uintptr_t *first,
                     uintptr_t *result)
{
    enum { DEREFERENCE = 0x06, PLUS_CONSTANT = 0x23, LITERAL = 0x30, REGISTER_PLUS = 0x70, LAST = 0x90 };
    struct operands stack = {.depth = 0};
    struct reader in = {expression, expression + 16, false};
    uint64_t size = read_unsigned(&in);
    in.end = in.at + size;
    if (first != NULL)
        push(&stack, *first);
    while (in.at < in.end && !in.failed && !stack.failed) {
        unsigned name = (unsigned)read_bytes(&in, 1);
        uintptr_t word;
        if (name >= REGISTER_PLUS && name < LAST) {
            if (name - REGISTER_PLUS >= CPU_REGISTERS)
                return false;
            word = frame->registers[name - REGISTER_PLUS];
            push(&stack, word + (uintptr_t)read_signed(&in));
        } else if (name >= LITERAL && name < LITERAL + 32) {
            push(&stack, name - LITERAL);
        } else if (name == DEREFERENCE) {
            if (!frame_read(frame, pop(&stack), &word))
                return false;
            push(&stack, word);
        } else if (name == PLUS_CONSTANT) {
            push(&stack, pop(&stack) + read_unsigned(&in));
        } else if (name >= 0x08 && name <= 0x11) {
            constant(&stack, &in, name);
        } else {
            compute(&stack, name);
        }
    }
    *result = pop(&stack);
    return !in.failed && !stack.failed;
}

static bool restore(struct frame *frame, const struct rule *rule, uintptr_t address, uintptr_t *value)
{
    switch (rule->kind) {
    case AT_OFFSET: return frame_read(frame, address + (uintptr_t)rule->value, value);
    case IS_OFFSET: *value = address + (uintptr_t)rule->value; return true;
    case IN_REGISTER:
        *value = (uint64_t)rule->value < CPU_REGISTERS ? frame->registers[rule->value] : 0;
        return true;
    case AT_EXPRESSION:
        return evaluate(frame, rule->expression, &address, value) && frame_read(frame, *value, value);
    case IS_EXPRESSION: return evaluate(frame, rule->expression, &address, value);
    default: return true; /* the value stays */
    }
}

static enum cfi_result apply(struct frame *frame, const struct entry *entry, const struct row *row)
{
    struct frame caller = *frame;
    uintptr_t address;
    if (row->address.kind == IS_EXPRESSION) {
        if (!evaluate(frame, row->address.expression, NULL, &address))
            return CFI_NONE;
    } else {
        address = frame->registers[row->base] + (uintptr_t)row->address.value;
    }
    if (row->registers[entry->return_register].kind == UNDEFINED)
        return CFI_END;
    caller.registers[CPU_STACK_POINTER] = address;
    for (unsigned i = 0; i < CPU_REGISTERS; i++)
        if (!restore(frame, &row->registers[i], address, &caller.registers[i]))
            return CFI_NONE;
    caller.pc = caller.registers[entry->return_register];
    caller.is_exact = entry->is_signal;
    caller.checked = frame->checked;
    *frame = caller;
    return CFI_STEPPED;
}

enum cfi_result cfi_step(struct frame *frame, const void *table)
{
    struct entry entry;
    struct machine m;
    uintptr_t pc = frame->pc - !frame->is_exact;
    const uint8_t *at = table_find(table, pc);
    if (at == NULL || !read_entry(&entry, at) || pc - entry.function >= entry.size)
        return CFI_NONE;
    memset(&m.row, 0, sizeof m.row); /* SAME */
    m.depth = 0;
    m.is_bad = false;
    m.pc = entry.function;
    if (!run(&m, &entry, entry.common, UINTPTR_MAX))
        return CFI_NONE;
    m.initial = m.row;
    m.pc = entry.function;
    if (!run(&m, &entry, entry.own, pc))
        return CFI_NONE;
    return apply(frame, &entry, &m.row);
}
