//go:build !purego

#include "textflag.h"

// The instructions MULX, ADCX and ADOX multiply without touching the flags and
// add in two chains of carries, CF and OF, that do not wait for each other. The
// algorithms are those of field_generic.go.

#define FOLD $0x1000003D1

// ROW adds DX·x to t0…t3 and sets t4. It needs CX = 0.
#define ROW(t0, t1, t2, t3, t4) \
	XORQ  t4, t4;          \
	MULXQ 0(SI), AX, BX;   \
	ADCXQ AX, t0;          \
	ADOXQ BX, t1;          \
	MULXQ 8(SI), AX, BX;   \
	ADCXQ AX, t1;          \
	ADOXQ BX, t2;          \
	MULXQ 16(SI), AX, BX;  \
	ADCXQ AX, t2;          \
	ADOXQ BX, t3;          \
	MULXQ 24(SI), AX, BX;  \
	ADCXQ AX, t3;          \
	ADOXQ BX, t4;          \
	ADCXQ CX, t4

// REDUCE folds t4…t7 into t0…t3. It leaves CX = 0 and changes AX, BX and DX.
#define REDUCE(t0, t1, t2, t3, t4, t5, t6, t7) \
	MOVQ  FOLD, DX;     \
	XORQ  CX, CX;       \
	MULXQ t4, AX, BX;   \
	ADCXQ AX, t0;       \
	ADOXQ BX, t1;       \
	MULXQ t5, AX, BX;   \
	ADCXQ AX, t1;       \
	ADOXQ BX, t2;       \
	MULXQ t6, AX, BX;   \
	ADCXQ AX, t2;       \
	ADOXQ BX, t3;       \
	MULXQ t7, AX, BX;   \
	ADCXQ AX, t3;       \
	ADOXQ CX, BX;       \
	ADCXQ CX, BX;       \
	MULXQ BX, AX, BX;   \
	ADDQ  AX, t0;       \
	ADCQ  BX, t1;       \
	ADCQ  $0, t2;       \
	ADCQ  $0, t3;       \
	SBBQ  AX, AX;       \
	ANDQ  DX, AX;       \
	ADDQ  AX, t0;       \
	ADCQ  $0, t1

// func mulADX(z, x, y *Element)
TEXT ·mulADX(SB), NOSPLIT, $0-24
	MOVQ x+8(FP), SI
	MOVQ y+16(FP), DI
	XORQ CX, CX

	MOVQ  0(DI), DX
	MULXQ 0(SI), R8, R9
	MULXQ 8(SI), AX, R10
	ADDQ  AX, R9
	MULXQ 16(SI), AX, R11
	ADCQ  AX, R10
	MULXQ 24(SI), AX, R12
	ADCQ  AX, R11
	ADCQ  $0, R12

	MOVQ 8(DI), DX
	ROW(R9, R10, R11, R12, R13)
	MOVQ 16(DI), DX
	ROW(R10, R11, R12, R13, R14)
	MOVQ 24(DI), DX
	ROW(R11, R12, R13, R14, R15)

	REDUCE(R8, R9, R10, R11, R12, R13, R14, R15)
	MOVQ z+0(FP), DI
	MOVQ R8, 0(DI)
	MOVQ R9, 8(DI)
	MOVQ R10, 16(DI)
	MOVQ R11, 24(DI)
	RET

// func squareADX(z, x *Element, n int)
//
// It squares n times, n above zero, with the number in SI, DI, R8 and R15.
TEXT ·squareADX(SB), NOSPLIT, $0-24
	MOVQ x+8(FP), AX
	MOVQ 0(AX), SI
	MOVQ 8(AX), DI
	MOVQ 16(AX), R8
	MOVQ 24(AX), R15

again:
	// The mixed products, once, in R9…R14.
	MOVQ  SI, DX
	MULXQ DI, R9, R10
	MULXQ R8, AX, R11
	ADDQ  AX, R10
	MULXQ R15, AX, R12
	ADCQ  AX, R11
	MOVQ  DI, DX
	MULXQ R15, AX, R13
	ADCQ  AX, R12
	ADCQ  $0, R13
	XORQ  CX, CX
	MULXQ R8, AX, BX
	ADCXQ AX, R11
	ADOXQ BX, R12
	MOVQ  R8, DX
	MULXQ R15, AX, R14
	ADCXQ CX, R12
	ADOXQ AX, R13
	ADCXQ CX, R13
	ADOXQ CX, R14
	ADCXQ CX, R14

	// Twice that, and the squares, in SI and R9…R15.
	XORQ  CX, CX
	MOVQ  SI, DX
	MULXQ DX, SI, AX
	ADCXQ R9, R9
	ADOXQ AX, R9
	MOVQ  DI, DX
	MULXQ DX, AX, BX
	ADCXQ R10, R10
	ADOXQ AX, R10
	ADCXQ R11, R11
	ADOXQ BX, R11
	MOVQ  R8, DX
	MULXQ DX, AX, BX
	ADCXQ R12, R12
	ADOXQ AX, R12
	ADCXQ R13, R13
	ADOXQ BX, R13
	MOVQ  R15, DX
	MULXQ DX, AX, R15
	ADCXQ R14, R14
	ADOXQ AX, R14
	ADCXQ CX, R15
	ADOXQ CX, R15

	REDUCE(SI, R9, R10, R11, R12, R13, R14, R15)
	MOVQ R9, DI
	MOVQ R10, R8
	MOVQ R11, R15
	DECQ n+16(FP)
	JNZ  again

	MOVQ z+0(FP), AX
	MOVQ SI, 0(AX)
	MOVQ DI, 8(AX)
	MOVQ R8, 16(AX)
	MOVQ R15, 24(AX)
	RET
