package ufm

var ceQuestions []Question
